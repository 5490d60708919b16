"""Ending what is left of leases: one round for all of them, apart from the looking."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from mlhub.adapters.processes.family import Families
from mlhub.adapters.processes.table import ProcessTable, Seen
from mlhub.core.leases import Lease
from mlhub.ending import Ending, send_to
from mlhub.lane import Lane

log = logging.getLogger(__name__)
EVERY: Final = 0.1  # seconds between two rounds


@dataclass(slots=True, eq=False)
class _Case:
    """A lease whose processes are being ended.

    Attributes:
        ours: by pid and start, what belonged to it at any look: some lose their parents.
        left: what there was at the last look.
    """

    lease: Lease
    ending: Ending[Seen]
    done: asyncio.Future[None]
    ours: dict[tuple[int, int], Seen] = field(default_factory=dict)
    left: list[Seen] = field(default_factory=list)


class Ender:
    """Ends the processes of leases: SIGTERM, then after the grace SIGKILL until none is left.

    However many leases end at once, all processes are looked at once in a round. It has a thread
    of its own: where a round is slow, nobody's looking is.
    """

    def __init__(self, families: Families, *, timeout_s: float, grace_s: float) -> None:
        self._families = families
        self._timeout_s = timeout_s
        self._grace_s = grace_s
        self._lane = Lane("mlhub-ending")
        self._cases: dict[str, _Case] = {}
        self._rounds: asyncio.Task[None] | None = None

    async def end(self, lease: Lease) -> None:
        """Return when nothing of the lease is left, or it had to be given up, which is logged."""
        case = self._cases.get(lease.id)
        if case is None:
            case = self._cases[lease.id] = self._case_of(lease)
        if self._rounds is None or self._rounds.done():
            self._rounds = asyncio.create_task(self._run())
        await asyncio.shield(case.done)

    def close(self) -> None:
        """Let the thread go; what has not ended is left alone."""
        if self._rounds is not None:
            self._rounds.cancel()
        self._lane.close()

    def _case_of(self, lease: Lease) -> _Case:
        ending: Ending[Seen] = Ending(
            self._send, patience_s=self._grace_s, which=lambda process: process.key
        )
        return _Case(lease, ending, asyncio.get_running_loop().create_future())

    def _send(self, process: Seen, number: signal.Signals) -> bool:
        return send(self._families.table, process, number)

    async def _run(self) -> None:
        try:
            while self._cases:
                cases = list(self._cases.values())
                again = await self._lane.do(partial(self._round, cases), timeout_s=self._timeout_s)
                for case in cases:
                    if case not in again:
                        self._close(case)
                await asyncio.sleep(EVERY if self._cases else 0)
        except OSError as error:
            names = ", ".join(sorted(self._cases))
            log.warning("leases %s cannot be ended by force: %s", names, error or "no answer")
        finally:
            for case in list(self._cases.values()):
                self._close(case)

    def _round(self, cases: Sequence[_Case]) -> list[_Case]:
        """One look for all, and what is due to each; those that need another round."""
        look = self._families.look()
        for case in cases:
            case.left = self._families.to_end(case.lease, look, case.ours.values())
            case.ours.update({process.key: process for process in case.left})
        return [case for case in cases if case.ending.step(case.left)]

    def _close(self, case: _Case) -> None:
        del self._cases[case.lease.id]
        if case.left:
            pids = ", ".join(str(process.pid) for process in case.left[:10])
            log.error("processes of lease %s do not end: %s", case.lease.id, pids)
        if not case.done.done():
            case.done.set_result(None)


def send(table: ProcessTable, process: Seen, number: signal.Signals) -> bool:
    """Signal that very process; True when it was still there."""

    def is_same() -> bool:
        now = table.find(process.pid)
        return now is not None and now.ticks == process.ticks

    return send_to(process.pid, number, is_same=is_same)
