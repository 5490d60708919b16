"""Finds and ends processes that belong to a stack but have lost whoever watched them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil

from mlhub.ending import Ending, children_of, mark_of, send_to
from mlhub.stack.home import Home
from mlhub.stack.wiring import load_json, save_json

MARK = "MLHUB_STACK"  # in the environment of every process of a stack: the path of its home
LOOK_EVERY_S = 0.05


def record(home: Home, processes: Iterable[psutil.Process]) -> None:
    """Writes down which processes belong to the stack, by number and mark."""
    known = [[p.pid, mark] for p in processes if (mark := mark_of(p.pid))]
    save_json(home.record_file, sorted(known))


def recorded(home: Home) -> Iterator[psutil.Process]:
    """Finds the processes written down that still are the same ones."""
    for pid, mark in load_json(home.record_file) or ():
        process = same_process(pid, mark)
        if process is not None:
            yield process


def same_process(pid: int, mark: str) -> psutil.Process | None:
    """Finds a process by number, unless that number now belongs to another process."""
    if mark_of(pid) != mark:
        return None
    try:
        return psutil.Process(pid)
    except psutil.Error:
        return None


def marked(home: Path) -> Iterator[psutil.Process]:
    """Finds the processes whose environment names the home."""
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == str(home):
                yield process
        except (psutil.Error, OSError):
            continue  # it ended, or it is another OS user's and none of ours


def session_of(pid: int) -> int | None:
    """Names the session that a process is in; None when it has ended."""
    try:
        return os.getsid(pid)
    except OSError:
        return None


def find(home: Home) -> set[psutil.Process]:
    """Finds everything that is left of a stack, users' servers and what they started included."""
    found = (set(recorded(home)) | set(marked(home.path))) - spared()
    sessions = {p.pid for p in found}
    found |= {p for p in psutil.process_iter() if session_of(p.pid) in sessions}
    for process in list(found):
        found |= set(children_of(process))
    return found - spared()


def spared() -> set[psutil.Process]:
    """Ourselves and those who started us: never to be ended, wherever we were started from."""
    me = psutil.Process()
    return {me, *me.parents()}


def end(processes: Iterable[psutil.Process], *, patience_s: float = 5.0) -> list[psutil.Process]:
    """Ends processes: asks them first, and kills those that do not heed it.

    Args:
        processes: Which ones.
        patience_s: Seconds between asking and killing.

    Returns:
        Those that are there even so.
    """
    ending: Ending[psutil.Process] = Ending(_send, patience_s=patience_s)
    left = [process for process in processes if not is_dead(process)]
    while ending.step(left):
        time.sleep(LOOK_EVERY_S)  # not psutil's wait: it would take note of our children's ends
        left = [process for process in left if not is_dead(process)]
    return left


def _send(process: psutil.Process, number: signal.Signals) -> bool:
    return send_to(process.pid, number, is_same=process.is_running)


def is_dead(process: psutil.Process) -> bool:
    """Tells whether a process has ended, be it that its parent has not taken note of it yet."""
    try:
        return process.status() in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}
    except psutil.Error:
        return True


def clear(home: Home) -> int:
    """Ends everything that is left of a stack whose watcher is gone.

    Returns:
        How many processes there were.
    """
    total = 0
    for _ in range(3):  # one that forks while it is being ended shows up in the next round
        found = {p for p in find(home) if not is_dead(p)}
        if not found:
            break
        total += len(found)
        end(found)
    home.record_file.unlink(missing_ok=True)
    return total
