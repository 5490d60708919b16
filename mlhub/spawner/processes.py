"""Which process is which: a number is given out again, a number with its start is not."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import psutil

from mlhub.ending import Ending, children_of, mark_of, send_to

GLANCE_S: Final = 0.05  # seconds between two looks at what is being ended


@dataclass(frozen=True, slots=True)
class Identified:
    """A process: its number, and what tells it from a later one of the same number."""

    pid: int
    mark: str


def is_same(process: Identified) -> bool:
    """Whether that process still runs."""
    return process.pid > 0 and bool(process.mark) and mark_of(process.pid) == process.mark


def belonging(server: Identified, lease_id: str, *, uid: int) -> set[Identified]:
    """What a server started: its session, who carries its lease, and what these started.

    The server itself may have ended. While anything of its session lives, the kernel gives its
    number to nobody else; so once another process has it, there is no session of it left.

    Args:
        server: the server's own process.
        lease_id: what its processes have in `MLHUB_LEASE_ID`; "" for a server without a lease.
        uid: whose processes count by what they carry: anybody could write any lease there.
    """
    taken = mark_of(server.pid) not in ("", server.mark)
    found = {
        process.pid
        for process in psutil.process_iter()
        if (not taken and _session(process.pid) == server.pid) or _carries(process, lease_id, uid)
    }
    for root in list(found):
        found |= _started_by(root)
    return {Identified(pid, mark) for pid in found - {os.getpid()} if (mark := mark_of(pid))}


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return 0


def _carries(process: psutil.Process, lease_id: str, uid: int) -> bool:
    if not lease_id:
        return False
    try:
        mine = process.uids().real == uid
        return mine and process.environ().get("MLHUB_LEASE_ID") == lease_id
    except (psutil.Error, OSError):
        return False


def _started_by(pid: int) -> set[int]:
    try:
        return {child.pid for child in children_of(psutil.Process(pid))}
    except psutil.Error:
        return set()


async def end_all(processes: Iterable[Identified], *, patience_s: float) -> None:
    """Asks processes to end, and kills those that do not within `patience_s` seconds."""
    ending: Ending[Identified] = Ending(_send, patience_s=patience_s)
    left = {process for process in processes if is_same(process)}
    while ending.step(left):
        await asyncio.sleep(GLANCE_S)
        left = {process for process in left if is_same(process)}


def _send(process: Identified, number: signal.Signals) -> bool:
    return send_to(process.pid, number, is_same=lambda: is_same(process))
