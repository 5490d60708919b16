"""Whether the holders of leases run on this machine, and how they are ended by force."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Final, TypeVar

from mlhub.adapters.processes.ender import Ender
from mlhub.adapters.processes.family import Families, Pass, UidOf, os_uid_of, parsed
from mlhub.adapters.processes.table import ProcessTable, Seen
from mlhub.broker.ports import Clock
from mlhub.core.leases import Lease
from mlhub.core.lifecycle import Observation, Presence
from mlhub.lane import Lane

log = logging.getLogger(__name__)
T = TypeVar("T")
_UNKNOWN: Final = Observation(Presence.UNKNOWN)
_KEPT_S: Final = 3600.0  # seconds for which it is known when a lease was last seen
_LOOK_AGAIN: Final = (0.1, 0.3, 0.6)  # seconds: a process that just starts has no environment yet


class ProcessObserver:
    """Watches the processes of one machine for the broker.

    A lease is there while the very process that was named as its holder runs, or any process
    that has its id as MLHUB_LEASE_ID: kernels and jobs often outlive the server that began them.
    A holder is written as ``<boot id>/<pid>/<ticks>``, the last being when the process began in
    the kernel's ticks since the machine's start, so that neither a pid that is used again nor a
    step of the clock nor a restart of the machine makes one process look like another.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        table: ProcessTable | None = None,
        timeout_s: float = 10.0,
        grace_s: float = 5.0,
        uid_of: UidOf | None = None,
    ) -> None:
        """Watch with this clock.

        Args:
            clock: what counts the seconds, and names this start of the machine.
            table: where processes are looked up, to share what it has read with others.
            timeout_s: after so many seconds a look that does not end says "unknown".
            grace_s: for so many seconds a process may react to SIGTERM before SIGKILL.
            uid_of: as which OS user a user's processes run; None where nobody can say. Anybody
                can write any lease into an environment: only its owner's processes count.
        """
        self.table = table or ProcessTable()
        self._clock = clock
        self._timeout_s = timeout_s
        self._lane = Lane("mlhub-processes")
        self._families = Families(self.table, clock, uid_of or os_uid_of)
        self._ender = Ender(self._families, timeout_s=timeout_s, grace_s=grace_s)
        self._last: dict[str, float] = {}

    async def holder_of(self, pid: int) -> Observation:
        """What is to be written down as the holder when a process is named as one.

        Gone when no such process runs, unknown when it may not be looked at.
        """
        try:
            seen = await self._do(lambda: self.table.find(pid))
        except OSError as error:
            log.warning("process %d cannot be looked at: %s", pid, error)
            return _UNKNOWN
        return self._there(seen) if seen else Observation(Presence.GONE)

    async def contradiction(self, pid: int, lease: Lease) -> str:
        """Why a process cannot be the holder of a lease; "" where nothing speaks against it.

        It has to run as the owner's OS user, and to carry the lease's id: as far as that is known.
        """
        wrong = await self._contradiction(pid, lease)
        for pause in _LOOK_AGAIN:
            if not wrong:
                break
            await asyncio.sleep(pause)
            wrong = await self._contradiction(pid, lease)
        return wrong

    async def _contradiction(self, pid: int, lease: Lease) -> str:
        def look() -> str:
            process = self.table.find(pid)
            return self._families.contradiction(lease, process) if process else "it has ended"

        try:
            return await self._do(look)
        except OSError:
            return ""  # nobody can say

    async def observe(self, leases: Sequence[Lease]) -> dict[str, Observation]:
        """What is seen of each lease's holder, by lease id; one pass over all processes."""
        try:
            found, at = await self._do(lambda: self._look_at(leases))
        except OSError as error:
            log.warning("the processes of this machine cannot be listed: %s", error or "no answer")
            return {lease.id: _UNKNOWN for lease in leases}
        there = (key for key, what in found.items() if what.presence is Presence.THERE)
        self._note(there, at=at)
        return found

    def _look_at(self, leases: Sequence[Lease]) -> tuple[dict[str, Observation], float]:
        """What is seen of each, and when, by the monotonic clock."""
        look = self._families.look()
        at = self._clock.monotonic()
        return {row.id: self._seen(row, look) for row in leases}, at

    async def kill(self, lease: Lease) -> None:
        """End every process of the lease, the children of its holder among them.

        SIGTERM, then after the grace SIGKILL until none is left. Never the first process of the
        machine, never this one or those above it. A repeat does no harm.
        """
        await self._ender.end(lease)

    def close(self) -> None:
        """Let the threads go."""
        self._ender.close()
        self._lane.close()

    async def _do(self, call: Callable[[], T]) -> T:
        return await self._lane.do(call, timeout_s=self._timeout_s)

    def _note(self, there: Iterable[str], *, at: float) -> None:
        """Remember when these were seen; what others were seen at is kept: a look may be at few.

        The lane's thread reads what is remembered, so it is replaced, never changed.
        """
        kept = {key: seen for key, seen in self._last.items() if at - seen < _KEPT_S}
        self._last = kept | dict.fromkeys(there, at)

    def _seen(self, lease: Lease, look: Pass) -> Observation:
        boot, pid, ticks = parsed(lease.holder)
        if lease.holder and not boot:
            return _UNKNOWN  # not one of ours: a pod, or a newer version's
        members = self._families.members(lease, look)
        holder = self._families.holder(lease, look)
        if holder or members:
            return self._there(holder or _first(members), lease.holder)
        if boot == self._clock.boot() and self._hidden(pid, ticks, look):
            return _UNKNOWN
        return Observation(Presence.GONE, unseen=self._unseen(lease.id))

    def _hidden(self, pid: int, ticks: int, look: Pass) -> bool:
        """Whether the holder may run although the pass did not show it."""
        if pid in look.by_pid:
            return False
        try:
            later = self.table.find(pid)
        except PermissionError:
            return True
        return later is not None and later.ticks == ticks

    def _there(self, process: Seen, holder: str = "") -> Observation:
        named = holder or f"{self._clock.boot()}/{process.pid}/{process.ticks}"
        return Observation(Presence.THERE, holder=named, age=timedelta(seconds=process.age))

    def _unseen(self, lease_id: str) -> timedelta | None:
        """How long ago the lease was last held, if it ever was seen to be."""
        at = self._last.get(lease_id)
        return None if at is None else timedelta(seconds=self._clock.monotonic() - at)


def _first(members: list[Seen]) -> Seen:
    """The oldest; of those as old, the one that began the others."""
    pids = {process.pid for process in members}
    return min(members, key=lambda p: (p.ticks, p.parent in pids, p.pid))
