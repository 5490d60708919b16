"""Whether the holders of leases run on this machine, and how they are ended by force."""

from __future__ import annotations

import asyncio
import logging
import os
import pwd
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeVar

from mlhub.adapters.processes.signals import send
from mlhub.adapters.processes.table import ProcessTable, Seen, relatives
from mlhub.broker.ports import Clock
from mlhub.core.leases import Lease
from mlhub.core.lifecycle import Observation, Presence
from mlhub.lane import Lane

log = logging.getLogger(__name__)
T = TypeVar("T")
_UNKNOWN: Final = Observation(Presence.UNKNOWN)
_LOOK_EVERY: Final = 0.1  # seconds between two looks at what is being ended
_ROUNDS: Final = 20  # of SIGKILL: a process may fork between the look and the signal


@dataclass(frozen=True, slots=True)
class _Pass:
    """One look at all processes: by pid, and by the lease that their environment names."""

    by_pid: dict[int, Seen]
    by_lease: dict[str, list[Seen]]


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
        uid_of: Callable[[str], int | None] | None = None,
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
        self._grace_s = grace_s
        self._lane = Lane("mlhub-processes")
        self._uid_of = uid_of or os_uid_of
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

    async def observe(self, leases: Sequence[Lease]) -> dict[str, Observation]:
        """What is seen of each lease's holder, by lease id; one pass over all processes."""
        try:
            look = await self._do(self._look)
            found = await self._do(lambda: {row.id: self._seen(row, look) for row in leases})
        except OSError as error:
            log.warning("the processes of this machine cannot be listed: %s", error or "no answer")
            return {lease.id: _UNKNOWN for lease in leases}
        self._last = {key: at for key, at in self._last.items() if key in found}
        return found

    async def kill(self, lease: Lease) -> None:
        """End every process of the lease, the children of its holder among them.

        SIGTERM, then after the grace SIGKILL until none is left. Never the first process of the
        machine, never this one or those above it. A repeat does no harm.
        """
        try:
            await self._kill(lease)
        except OSError as error:
            log.warning("lease %s cannot be ended by force: %s", lease.id, error or "no answer")

    def close(self) -> None:
        """Let the thread go."""
        self._lane.close()

    async def _do(self, call: Callable[[], T]) -> T:
        return await self._lane.do(call, timeout_s=self._timeout_s)

    def _look(self) -> _Pass:
        by_pid = {process.pid: process for process in self.table.scan()}
        spared = {process.pid for process in _line_of(os.getpid(), by_pid)}
        by_lease: dict[str, list[Seen]] = {}
        for process in by_pid.values():
            if process.lease_id and process.pid not in spared:
                by_lease.setdefault(process.lease_id, []).append(process)
        return _Pass(by_pid, by_lease)

    def _seen(self, lease: Lease, look: _Pass) -> Observation:
        boot, pid, ticks = _parsed(lease.holder)
        if lease.holder and not boot:
            return _UNKNOWN  # not one of ours: a pod, or a newer version's
        members = self._members(lease, look)
        holder = self._holder(boot, pid, ticks, look)
        if holder or members:
            self._last[lease.id] = self._clock.monotonic()
            return self._there(holder or _first(members), lease.holder)
        if boot == self._clock.boot() and self._hidden(pid, ticks, look):
            return _UNKNOWN
        return Observation(Presence.GONE, unseen=self._unseen(lease.id))

    def _members(self, lease: Lease, look: _Pass) -> list[Seen]:
        """The owner's processes whose environment names the lease."""
        return self._own(lease, look.by_lease.get(lease.id, []))

    def _own(self, lease: Lease, processes: Iterable[Seen]) -> list[Seen]:
        uid = self._uid_of(lease.ask.user)
        return [process for process in processes if uid is None or process.uid == uid]

    def _holder(self, boot: str, pid: int, ticks: int, look: _Pass) -> Seen | None:
        process = look.by_pid.get(pid)
        same = process and process.ticks == ticks and boot == self._clock.boot()
        return process if same else None

    def _hidden(self, pid: int, ticks: int, look: _Pass) -> bool:
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

    async def _kill(self, lease: Lease) -> None:
        ours: dict[tuple[int, int], Seen] = {}
        left = await self._do(lambda: self._end(lease, ours, signal.SIGTERM))
        until = time.monotonic() + self._grace_s
        while left and time.monotonic() < until:
            await asyncio.sleep(_LOOK_EVERY)
            left = await self._do(lambda: self._end(lease, ours, None))
        for _ in range(_ROUNDS):
            if not left:
                return
            left = await self._do(lambda: self._end(lease, ours, signal.SIGKILL))
            await asyncio.sleep(_LOOK_EVERY)
        pids = ", ".join(str(process.pid) for process in left[:10])
        log.error("processes of lease %s do not end: %s", lease.id, pids)

    def _end(
        self, lease: Lease, ours: dict[tuple[int, int], Seen], number: signal.Signals | None
    ) -> list[Seen]:
        """Signal what is left of the lease; `ours` remembers those that lost their parents."""
        look = self._look()
        holder = self._holder(*_parsed(lease.holder), look)
        running = {(p.pid, p.ticks) for p in look.by_pid.values()}
        roots = [*self._members(lease, look), *self._own(lease, [holder] if holder else [])]
        roots += [process for key, process in ours.items() if key in running]
        ends = _killable(roots, look.by_pid)
        below = relatives(look.by_pid.values(), ends)
        left = _killable(self._own(lease, below), look.by_pid)
        ours.update({(process.pid, process.ticks): process for process in left})
        for process in left:
            if number is not None:
                send(self.table, process, number)
        return left


def os_uid_of(user: str) -> int | None:
    """The OS user that a user's servers run as: without root our own; None if there is none."""
    if os.geteuid() != 0:
        return os.geteuid()
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        return None


def _parsed(holder: str) -> tuple[str, int, int]:
    """Boot id, pid and ticks; all empty when it is no process of a machine."""
    boot, _, rest = holder.partition("/")
    pid, _, ticks = rest.partition("/")
    if boot and pid.isdecimal() and ticks.isdecimal():
        return boot, int(pid), int(ticks)
    return "", 0, 0


def _first(members: list[Seen]) -> Seen:
    """The oldest; of those as old, the one that began the others."""
    pids = {process.pid for process in members}
    return min(members, key=lambda p: (p.ticks, p.parent in pids, p.pid))


def _line_of(pid: int, by_pid: dict[int, Seen]) -> list[Seen]:
    """A process and those above it, up to the machine's first."""
    line: list[Seen] = []
    while (process := by_pid.get(pid)) and process not in line:
        line.append(process)
        pid = process.parent
    return line


def _killable(processes: Iterable[Seen], by_pid: dict[int, Seen]) -> list[Seen]:
    spared = {1, *(process.pid for process in _line_of(os.getpid(), by_pid))}
    return [process for process in processes if process.pid not in spared]
