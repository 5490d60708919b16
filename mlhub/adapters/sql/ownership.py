"""Who may write: one lock that dies with its process, and an epoch that fences off all others."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from sqlalchemy import Connection, func, select, update

from mlhub.adapters.sql.database import Database
from mlhub.adapters.sql.tables import owner
from mlhub.core.errors import LedgerUnavailable, NotOwner
from mlhub.core.ledger import Ledger

ADVISORY_KEY: Final = 0x6D6C687562  # "mlhub"; one ledger for each PostgreSQL database


class OwnerLock(Protocol):
    """A lock that at most one process has, and none when that process has ended."""

    def take(self, name: str) -> bool:
        """Have it, now or already; False when another process does.

        Raises:
            LedgerUnavailable: it cannot be asked for.
        """

    def holder(self) -> str:
        """Who has it, for people; "" when it is not known."""

    def release(self) -> None:
        """Let another process have it."""


class FileLock:
    """A lock on a file beside the database file."""

    def __init__(self, file: Path) -> None:
        self._path = Path(f"{file}.lock")
        self._handle: int | None = None

    def take(self, name: str) -> bool:
        """Have it, and write into the file who does."""
        if self._handle is not None:
            return True
        try:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise LedgerUnavailable(f"{self._path} cannot be opened: {error.strerror}") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return False
        self._handle = handle
        self._sign(handle, name)
        return True

    def holder(self) -> str:
        """What the holder wrote: its name and process id."""
        try:
            return self._path.read_text(errors="replace").strip()[:200]
        except OSError:
            return ""

    def release(self) -> None:
        """Unlock it; the file stays, for removing it could give it to two at once."""
        if self._handle is not None:
            with suppress(OSError):
                os.ftruncate(self._handle, 0)
            os.close(self._handle)
            self._handle = None

    @staticmethod
    def _sign(handle: int, name: str) -> None:
        # The name is for people only: a full disk is no reason to refuse the lock.
        with suppress(OSError):
            os.ftruncate(handle, 0)
            os.write(handle, f"{name} (process {os.getpid()})\n".encode())


class AdvisoryLock:
    """A lock that PostgreSQL keeps for the very connection that writes.

    Should the connection break, the lock is gone with it, and a new connection has to get it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._had_by = 0  # which of the database's connections

    def take(self, name: str) -> bool:
        """Have it for the connection that there is now."""
        if self._had_by and self._had_by == self._database.connected:
            return True
        with self._database.transaction() as connection:
            got = bool(connection.scalar(select(func.pg_try_advisory_lock(ADVISORY_KEY))))
        self._had_by = self._database.connected if got else 0
        return got

    def holder(self) -> str:
        """The name that the last owner wrote into the table of owners."""
        with suppress(LedgerUnavailable), self._database.transaction() as connection:
            row = connection.execute(select(owner.c.name, owner.c.since)).one()
            return f"{row.name}, since {row.since:%Y-%m-%d %H:%M} UTC" if row.since else ""
        return ""

    def release(self) -> None:
        """Forget it: PostgreSQL frees it with the connection, which is closed next."""
        self._had_by = 0


def lock_of(database: Database) -> OwnerLock:
    """The lock that goes with a database."""
    return FileLock(database.file) if database.file else AdvisoryLock(database)


def begin_epoch(connection: Connection, name: str, now: datetime) -> int:
    """Become the owner: whoever was it before cannot commit any more."""
    statement = (
        update(owner)
        .values(epoch=owner.c.epoch + 1, name=name[:200], since=now)
        .returning(owner.c.epoch)
    )
    return int(connection.execute(statement).scalar_one())


def sign_commit(connection: Connection, epoch: int, after: Ledger) -> None:
    """Note the commit's number and clocks, as the owner of that epoch.

    Raises:
        NotOwner: a later epoch has begun.
    """
    anchor = after.anchor
    statement = (
        update(owner)
        .where(owner.c.epoch == epoch)
        .values(
            revision=after.revision,
            anchor_wall=anchor and anchor.wall,
            anchor_monotonic=anchor and anchor.monotonic,
            anchor_boot=anchor and anchor.boot,
        )
    )
    if connection.execute(statement).rowcount != 1:
        raise fenced()


def fenced() -> NotOwner:
    """The error of an owner that another one has followed."""
    return NotOwner("Another process has become the owner of the ledger; this one has to end.")
