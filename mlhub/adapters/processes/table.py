"""The process table: who runs, since when, and the few words of the environment that count."""

from __future__ import annotations

import os
import pwd
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
_PART: Final = 128 * 1024
_PARTS: Final = 32  # 4 MiB: the kernel allows no more than that of an environment by default
_LEASE: Final = b"MLHUB_LEASE_ID"
_VISIBLE: Final = b"CUDA_VISIBLE_DEVICES"
_WORD: Final = 4096  # more of one variable than this is nobody's lease and no list of devices


@dataclass(frozen=True, slots=True)
class Seen:
    """A process that runs, as the kernel sees it.

    Attributes:
        pid: its number, which is given out again after its end.
        ticks: when it began, in the kernel's ticks since the machine's start: with the pid it
            names one process and no other, whatever the wall clock does.
        parent: its parent's pid.
        uid: the OS user that it runs as.
        lease_id: MLHUB_LEASE_ID in its environment, "" when there is none or it is unreadable.
        visible: CUDA_VISIBLE_DEVICES in its environment, likewise.
    """

    pid: int
    ticks: int
    parent: int = 0
    uid: int = 0
    lease_id: str = ""
    visible: str = ""

    @property
    def key(self) -> tuple[int, int]:
        """What names it at every look; its parent, for one, may be another by then."""
        return self.pid, self.ticks

    @property
    def age(self) -> float:
        """Seconds since it began, time that the machine slept included."""
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - self.ticks / _TICKS_PER_SECOND)

    @property
    def user(self) -> str:
        """The name of the OS user, or their number when they have none."""
        return _user_name(self.uid)


@dataclass(frozen=True, slots=True)
class _Stat:
    """The line of /proc/<pid>/stat, as far as it is needed.

    `program` changes whenever the process starts another program and so gets another environment:
    the name, and where in memory the kernel put the environment.
    """

    ticks: int
    parent: int
    ended: bool
    program: tuple[bytes, bytes, bytes]


@dataclass(frozen=True, slots=True)
class _Known:
    """What was read of a process once and holds until it starts another program."""

    ticks: int
    program: tuple[bytes, bytes, bytes]
    uid: int
    lease_id: str
    visible: str


class ProcessTable:
    """Every process of this machine. One pass reads a short line for each; environments, which
    are dear to read, are read once for each program that a process runs.

    Several threads may ask at once, and none waits for another: what is known is never changed,
    each pass puts its own in its place.
    """

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = str(proc)
        self._known: dict[int, _Known] = {}

    def scan(self) -> list[Seen]:
        """The processes that run now; those that have ended and wait for their parent are none.

        Raises:
            OSError: /proc cannot be listed.
        """
        known: dict[int, _Known] = {}
        found = []
        for name in os.listdir(self._proc):  # noqa: PTH208  as in _content
            if name.isdecimal() and (seen := self._look(int(name), known)):
                found.append(seen)
        self._known = known
        return found

    def find(self, pid: int) -> Seen | None:
        """The process of that number, if it runs.

        Raises:
            PermissionError: it exists and may not be looked at.
        """
        if pid < 1:
            return None
        seen = self._look(pid, {})
        if seen is None and _is_hidden(pid):
            raise PermissionError(f"process {pid} exists but is hidden from this user")
        return seen

    def owner(self, pid: int) -> tuple[str, str]:
        """The OS user and the lease id of a process, each "" where it is not known."""
        try:
            seen = self.find(pid)
        except OSError:
            return "", ""
        return (seen.user, seen.lease_id) if seen else ("", "")

    def _look(self, pid: int, known: dict[int, _Known]) -> Seen | None:
        stat = _stat(f"{self._proc}/{pid}/stat")
        if stat is None or stat.ended:
            return None
        old = self._known.get(pid)
        if old is None or (old.ticks, old.program) != (stat.ticks, stat.program):
            old = self._read(pid, stat)
        known[pid] = old
        return Seen(pid, stat.ticks, stat.parent, old.uid, old.lease_id, old.visible)

    def _read(self, pid: int, stat: _Stat) -> _Known:
        folder = f"{self._proc}/{pid}"
        try:
            uid = os.stat(folder).st_uid  # noqa: PTH116  as in _content
        except OSError:  # ended just now
            return _Known(stat.ticks, stat.program, -1, "", "")
        try:
            words = _words(_content(f"{folder}/environ"))
        except OSError:  # another user's, and we are not root
            words = {}
        lease_id, visible = (words.get(name, "") for name in (_LEASE, _VISIBLE))
        return _Known(stat.ticks, stat.program, uid, lease_id, visible)


def relatives(processes: Iterable[Seen], roots: Iterable[Seen]) -> list[Seen]:
    """The processes below `roots` in the tree of parents, and the roots themselves."""
    children: dict[int, list[Seen]] = {}
    for process in processes:
        children.setdefault(process.parent, []).append(process)
    found: dict[int, Seen] = {}
    ahead = list(roots)
    while ahead:
        process = ahead.pop()
        if process.pid not in found:
            found[process.pid] = process
            ahead.extend(children.get(process.pid, ()))
    return list(found.values())


def _stat(path: str) -> _Stat | None:
    try:
        line = _content(path)
    except OSError:
        return None
    head, _, rest = line.rpartition(b")")  # the name before it may itself hold brackets
    fields = rest.split()
    if len(fields) < 50:
        return None
    return _Stat(
        ticks=int(fields[19]),
        parent=int(fields[1]),
        ended=fields[0] in (b"Z", b"X"),
        program=(head.partition(b"(")[2], fields[47], fields[48]),
    )


def _content(path: str) -> bytes:
    """A file of /proc; by calls of `os`, since with `Path` a pass takes three times as long."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        parts = [os.read(descriptor, _PART)]
        while len(parts[-1]) == _PART and len(parts) < _PARTS:
            parts.append(os.read(descriptor, _PART))
        return b"".join(parts)
    finally:
        os.close(descriptor)


def _words(environment: bytes) -> dict[bytes, str]:
    """The variables that count; the first of a name, as getenv() has it."""
    found: dict[bytes, str] = {}
    for entry in environment.split(b"\0"):
        name, _, value = entry.partition(b"=")
        if name in (_LEASE, _VISIBLE) and len(value) <= _WORD:
            found.setdefault(name, value.decode("utf-8", "replace"))
    return found


def _is_hidden(pid: int) -> bool:
    """Whether there is such a process although /proc shows none (it is mounted with `hidepid`)."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        pass
    return False


@lru_cache(maxsize=1024)
def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return str(uid) if uid >= 0 else ""
