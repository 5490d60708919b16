"""Ending processes: these very ones and no others, politely at first, then firmly."""

from __future__ import annotations

import errno
import logging
import os
import signal
import time
from collections.abc import Callable, Collection, Hashable
from pathlib import Path
from typing import Final, Generic, TypeVar

import psutil

log = logging.getLogger(__name__)
P = TypeVar("P")
START_FIELD: Final = 19  # behind the name in /proc/<pid>/stat: ticks since the machine's start
FIRM_S: Final = 3.0  # seconds after the first SIGKILL until what is left is given up


class Ending(Generic[P]):
    """When processes are asked to end, and when they are killed; taken in steps.

    Each is asked once, also one that shows up later. What is there when the patience is over is
    killed, at each step again: a process may fork between the look and the signal. The caller
    looks and waits between the steps, in whatever way it does:

        while ending.step(those_that_are_left()):
            wait()
    """

    def __init__(
        self,
        send: Callable[[P, signal.Signals], object],
        *,
        patience_s: float,
        which: Callable[[P], Hashable] = lambda process: process,
    ) -> None:
        """The patience begins with the first step.

        Args:
            send: signals one process, such as by `send_to`.
            patience_s: seconds between asking and killing.
            which: what stays the same of a process at every look at it, such as pid and start.
        """
        self._send = send
        self._which = which
        self._patience_s = patience_s
        self._began: float | None = None
        self._asked: set[Hashable] = set()

    def step(self, left: Collection[P]) -> bool:
        """Do to those that are left what is due; whether there is to be another step."""
        now = time.monotonic()
        self._began = now if self._began is None else self._began
        waited = now - self._began
        if not left or waited > self._patience_s + FIRM_S:
            return False
        for process in left:
            if waited >= self._patience_s:
                self._send(process, signal.SIGKILL)
            elif (which := self._which(process)) not in self._asked:
                self._asked.add(which)
                self._send(process, signal.SIGTERM)
        return True


def send_to(pid: int, number: signal.Signals, *, is_same: Callable[[], bool]) -> bool:
    """Signal the process that was meant, or none; True when it was still there.

    The number is fixed with a file descriptor first and asked about after that, so that it cannot
    be given to another process in between. Never the machine's first process, never this one.

    Args:
        pid: its number.
        number: the signal.
        is_same: whether the process that has the number now is the one that is meant.
    """
    if pid <= 1 or pid == os.getpid():
        return False
    try:
        descriptor = _fixed(pid)
        try:
            return is_same() and _signalled(pid, descriptor, number)
        finally:
            if descriptor is not None:
                os.close(descriptor)
    except ProcessLookupError:
        return False
    except OSError as error:
        log.warning("process %d cannot be ended: %s", pid, error)
        return False


def _fixed(pid: int) -> int | None:
    """A file descriptor of the process; None where the kernel has or allows none."""
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EPERM):
            return None
        raise


def _signalled(pid: int, descriptor: int | None, number: signal.Signals) -> bool:
    if descriptor is None:
        os.kill(pid, number)
    else:
        signal.pidfd_send_signal(descriptor, number)
    return True


def children_of(process: psutil.Process) -> list[psutil.Process]:
    """What a process started, and what that started; nothing when it has ended."""
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def mark_of(pid: int) -> str:
    """What identifies the process that has this number now; "" when there is none, or a zombie.

    The kernel's count from the machine's start is used where there is one, because start times
    on the wall clock move with every step of that clock.
    """
    if not Path("/proc/self/stat").exists():
        return _mark_by_psutil(pid)
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else f"{_boot()}/{fields[START_FIELD]}"


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _mark_by_psutil(pid: int) -> str:
    try:
        process = psutil.Process(pid)
        zombie = process.status() == psutil.STATUS_ZOMBIE
        return "" if zombie else f"{process.create_time():.2f}"
    except psutil.Error:
        return ""
