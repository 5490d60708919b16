"""Which processes are a lease's: its holder, and what carries its id for its owner."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mlhub.adapters.processes.table import ProcessTable, Seen, relatives
from mlhub.broker.ports import Clock
from mlhub.core.leases import Lease

UidOf = Callable[[str], int | None]


@dataclass(frozen=True, slots=True)
class Pass:
    """One look at all processes: by pid, and by the lease that their environment names."""

    by_pid: dict[int, Seen]
    by_lease: dict[str, list[Seen]]


@dataclass(frozen=True, slots=True)
class Families:
    """Finds the processes of leases.

    Attributes:
        table: where processes are looked up.
        clock: what names this start of the machine.
        uid_of: as which OS user a user's processes run; None where nobody can say. Anybody can
            write any lease into an environment: only its owner's processes count.
    """

    table: ProcessTable
    clock: Clock
    uid_of: UidOf

    def look(self) -> Pass:
        """All processes as they are now.

        Raises:
            OSError: they cannot be listed.
        """
        by_pid = {process.pid: process for process in self.table.scan()}
        spared = _spared(by_pid)
        by_lease: dict[str, list[Seen]] = {}
        for process in by_pid.values():
            if process.lease_id and process.pid not in spared:
                by_lease.setdefault(process.lease_id, []).append(process)
        return Pass(by_pid, by_lease)

    def holder(self, lease: Lease, look: Pass) -> Seen | None:
        """The very process that was named as its holder, if it runs."""
        boot, pid, ticks = parsed(lease.holder)
        process = look.by_pid.get(pid)
        same = process and process.ticks == ticks and boot == self.clock.boot()
        return process if same else None

    def members(self, lease: Lease, look: Pass) -> list[Seen]:
        """The owner's processes whose environment names the lease."""
        return self._own(lease, look.by_lease.get(lease.id, []))

    def contradiction(self, lease: Lease, process: Seen) -> str:
        """Why this process is none of the lease's; "" where nothing speaks against it."""
        if not self._own(lease, [process]):
            return f"process {process.pid} runs as {process.user}, not as {lease.ask.user}"
        readable = os.geteuid() in (0, process.uid)
        if process.lease_id != lease.id and (process.lease_id or readable):
            named = f"lease {process.lease_id[:40]}" if process.lease_id else "no lease"
            return f"process {process.pid} was started for {named}, not for {lease.id}"
        return ""

    def to_end(self, lease: Lease, look: Pass, earlier: Iterable[Seen]) -> list[Seen]:
        """All that is to be ended with a lease, the children of its processes among them.

        Never the first process of the machine, never this one or those above it.

        Args:
            lease: the lease.
            look: the processes as they are now.
            earlier: what belonged to it at an earlier look: those that lost their parents.
        """
        holder = self.holder(lease, look)
        roots = [*self.members(lease, look), *self._own(lease, [holder] if holder else [])]
        running = {process.key for process in look.by_pid.values()}
        roots += [row for row in earlier if row.key in running]
        spared = _spared(look.by_pid)
        ends = [process for process in roots if process.pid not in spared]
        below = self._own(lease, relatives(look.by_pid.values(), ends))
        return [process for process in below if process.pid not in spared]

    def _own(self, lease: Lease, processes: Iterable[Seen]) -> list[Seen]:
        there = list(processes)
        # Who that is may be a question to a directory on another machine: not asked for nothing.
        uid = self.uid_of(lease.ask.user) if there else None
        return [process for process in there if uid is None or process.uid == uid]


def os_uid_of(user: str) -> int | None:
    """The OS user that a user's servers run as: without root our own; None if there is none."""
    if os.geteuid() != 0:
        return os.geteuid()
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        return None


def parsed(holder: str) -> tuple[str, int, int]:
    """Boot id, pid and ticks; all empty when it is no process of a machine."""
    boot, _, rest = holder.partition("/")
    pid, _, ticks = rest.partition("/")
    if boot and pid.isdecimal() and ticks.isdecimal():
        return boot, int(pid), int(ticks)
    return "", 0, 0


def _spared(by_pid: dict[int, Seen]) -> set[int]:
    """The machine's first process, this one, and those above it."""
    spared, pid = {1}, os.getpid()
    while (process := by_pid.get(pid)) and pid not in spared:
        spared.add(pid)
        pid = process.parent
    return spared
