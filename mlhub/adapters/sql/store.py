"""The ledger in SQLite or PostgreSQL, for the event loop: waiting updates share one commit."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

from sqlalchemy import Connection

from mlhub.adapters.sql import reading
from mlhub.adapters.sql.history import Reader
from mlhub.adapters.sql.keeper import Keeper, Outcome
from mlhub.broker.ports import Clock, Decide, Page
from mlhub.core.errors import LedgerUnavailable, NotOwner
from mlhub.core.leases import Lease
from mlhub.core.ledger import AuditRecord, Ledger, UsageEntry

log = logging.getLogger(__name__)
T = TypeVar("T")
R = TypeVar("R")

BATCH: Final = 64  # updates in one commit: its cost is shared, and none waits long for the others
ASK_AGAIN: Final = 0.1  # seconds between two tries to become the owner


@dataclass(frozen=True, slots=True)
class _Waiting:
    decide: Decide[Any]
    outcome: asyncio.Future[Outcome]


class SqlStore:
    """A `Store` and a `History`: a thread that decides and commits, and one that reads."""

    def __init__(
        self, url: str, clock: Clock, *, takeover: float = 5.0, patience: float = 30.0
    ) -> None:
        """Nothing is opened yet.

        Args:
            url: ``sqlite:////path/to/file`` or ``postgresql+psycopg://user@host/database``.
            clock: for the monotonic clock; its wall clock counts only when it is simulated.
            takeover: seconds that `open` waits for a former owner to end.
            patience: seconds after which one who waits for the database is told to ask again.

        Raises:
            BadInput: the URL names no database that a ledger can be kept in.
        """
        self._keeper = Keeper(url, clock)
        self._takeover = takeover
        self._patience = patience
        self._waiting: deque[_Waiting] = deque()
        self._committing: asyncio.Task[None] | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._url = url
        self._reader: Reader | None = None

    async def open(self, owner: str) -> None:
        """Become the owner; a former one that has not ended is waited for a while.

        Raises:
            NotOwner: another process owns the ledger and does not end.
            SchemaMismatch: a newer mlhub wrote it.
            LedgerUnavailable: it cannot be reached.
        """
        self._thread = self._thread or ThreadPoolExecutor(1, thread_name_prefix="ledger")
        try:
            await self._own(self._thread, owner)
            self._reader = Reader(self._url)
        except BaseException:
            await self.close()
            raise

    async def update(self, decide: Decide[T]) -> T:
        """Decide and keep what it changes, in one transaction with others that wait.

        Raises:
            NotOwner: another process has become the owner.
            LedgerUnavailable: the database is away or stays busy; whether the change was kept is
                known when it is asked for again with the same key.
            BrokenInvariant: the database refused what would break a truth, such as a device that
                is given out twice.
            Exception: whatever `decide` raised.
        """
        thread = self._worker()
        entry = _Waiting(decide, asyncio.get_running_loop().create_future())
        self._waiting.append(entry)
        if self._committing is None or self._committing.done():
            self._committing = asyncio.create_task(self._commit_waiting(thread))
        outcome = await self._in_time(entry.outcome)
        if outcome.error is not None:
            raise outcome.error
        return cast(T, outcome.value)

    async def snapshot(self) -> Ledger:
        """The ledger as of the last commit.

        Raises:
            NotOwner: another process has become the owner.
            LedgerUnavailable: it has to be read anew, and the database is away.
        """
        thread = self._worker()
        ledger = self._keeper.ledger  # read once: the ledger's thread forgets it after an error
        if ledger is not None:
            return ledger
        loop = asyncio.get_running_loop()
        return await self._in_time(loop.run_in_executor(thread, self._keeper.current))

    async def close(self) -> None:
        """Commit what waits and give up ownership; a repeat does nothing."""
        thread, self._thread = self._thread, None
        reader, self._reader = self._reader, None
        if thread is None:
            return
        if self._committing is not None:
            await self._committing
        await asyncio.get_running_loop().run_in_executor(thread, self._keeper.close)
        thread.shutdown()
        if reader is not None:  # the last, for the next owner need not wait for what is read
            await reader.close()

    async def ended_leases(self, user: str | None, page: Page) -> list[tuple[int, Lease]]:
        """Ended leases, of one user or of all."""
        return await self._read(lambda connection: reading.ended_leases(connection, user, page))

    async def ended_lease(self, lease_id: str) -> Lease | None:
        """One ended lease; None when there is none of that id, or it is live."""
        return await self._read(lambda connection: reading.ended_lease(connection, lease_id))

    async def usage(self, user: str | None, page: Page) -> list[tuple[int, UsageEntry]]:
        """Usage entries, of one user or of all."""
        return await self._read(lambda connection: reading.usage(connection, user, page))

    async def audit(self, user: str | None, page: Page) -> list[tuple[int, AuditRecord]]:
        """Audit records, about one user or all."""
        return await self._read(lambda connection: reading.audit(connection, user, page))

    async def _own(self, thread: ThreadPoolExecutor, owner: str) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + self._takeover
        while True:
            try:  # without a time limit: an upgrade of a large ledger takes what it takes
                return await loop.run_in_executor(thread, self._keeper.own, owner)
            except NotOwner:
                if loop.time() >= until:
                    raise
            await asyncio.sleep(ASK_AGAIN)

    async def _commit_waiting(self, thread: ThreadPoolExecutor) -> None:
        """Commit batch after batch until nobody waits; those who come meanwhile share the next."""
        while self._waiting:
            some = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            batch = [entry for entry in some if not entry.outcome.done()]
            for entry, outcome in zip(batch, await self._commit(thread, batch), strict=True):
                if not entry.outcome.done():
                    entry.outcome.set_result(outcome)

    async def _commit(self, thread: ThreadPoolExecutor, batch: list[_Waiting]) -> list[Outcome]:
        decisions = [entry.decide for entry in batch]
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(thread, self._keeper.commit, decisions)
        except Exception as error:
            log.exception("a commit to the ledger failed")
            return [Outcome(error=error)] * len(batch)

    async def _read(self, query: Callable[[Connection], R]) -> R:
        if self._reader is None:
            raise _not_open()
        return await self._in_time(self._reader.read(query))

    async def _in_time(self, future: asyncio.Future[R]) -> R:
        try:
            async with asyncio.timeout(self._patience):
                return await future
        except TimeoutError:
            raise LedgerUnavailable(
                f"The ledger has not answered for {self._patience:.0f} s; ask again."
            ) from None

    def _worker(self) -> ThreadPoolExecutor:
        if self._thread is None:
            raise _not_open()
        return self._thread


def _not_open() -> LedgerUnavailable:
    """What one is told who uses it before `open` or after `close`."""
    return LedgerUnavailable("The ledger is not open.")
