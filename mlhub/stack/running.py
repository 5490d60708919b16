"""What is running in a home, and how to end it: `mlhub status` and `mlhub down`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psutil

from mlhub.ending import children_of
from mlhub.stack import leftovers, wiring
from mlhub.stack.home import Home
from mlhub.stack.problems import StackProblem
from mlhub.stack.wiring import Wiring

DOWN_LIMIT_S = 45.0


@dataclass(frozen=True, slots=True)
class PartState:
    """One process of the stack.

    Attributes:
        name: What people call it.
        pid: Its process number; None while it is between two starts.
        started: When it started, in seconds since 1970.
        restarts: How often it had to be started again.
        memory: Resident bytes of it and what it started.
        answers: Whether it answered when it was last asked; None while it is starting.
    """

    name: str
    pid: int | None
    started: float | None
    restarts: int
    memory: int
    answers: bool | None = None


@dataclass(frozen=True, slots=True)
class StackState:
    """A stack as it is now.

    Attributes:
        wiring: Who listens where.
        watcher: The process number of `mlhub up`.
        parts: Its processes.
    """

    wiring: Wiring
    watcher: int
    parts: list[PartState]

    @property
    def healthy(self) -> bool:
        """Whether every part is running, and none hangs."""
        return bool(self.parts) and all(
            part.pid is not None and part.answers is not False for part in self.parts
        )


def find_watcher(home: Home) -> psutil.Process | None:
    """Finds the `mlhub up` of a home; None when there is none."""
    written = wiring.load_json(home.watcher_file)
    return leftovers.same_process(*written) if isinstance(written, list) else None


def look(home: Home) -> StackState | None:
    """Reads the state of a home's stack; None when none is running.

    Raises:
        StackProblem: one is running that another version of mlhub started.
    """
    watcher = find_watcher(home)
    plan = wiring.load(home) if watcher else None
    if watcher is None or plan is None:
        return None
    states = wiring.load_json(home.states_file) or {}
    parts = [look_at(name, state) for name, state in states.items()]
    return StackState(plan, watcher.pid, parts)


def look_at(name: str, state: Mapping[str, Any]) -> PartState:
    """Reads the state of one part, of which the supervisor wrote down what it knows."""
    pid, restarts = state["pid"], max(0, state["starts"] - 1)  # 0 starts: it never could be
    try:
        process = psutil.Process(pid) if pid else None
        if process is None or leftovers.is_dead(process):
            return PartState(name, None, None, restarts, 0)
        family = [process, *children_of(process)]
        memory = sum(map(memory_of, family))
        started = process.create_time()
        return PartState(name, pid, started, restarts, memory, state.get("answers"))
    except psutil.Error:
        return PartState(name, None, None, restarts, 0)


def memory_of(process: psutil.Process) -> int:
    """Reads the resident bytes of a process; 0 when it has ended."""
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def bring_down(home: Home) -> bool:
    """Ends the stack of a home and all that it left behind.

    Returns:
        Whether there was anything to end.

    Raises:
        StackProblem: some of it could not be ended.
    """
    if not home.run.is_dir():
        return False
    watcher = find_watcher(home)
    if watcher is not None:
        leftovers.end([watcher], patience_s=DOWN_LIMIT_S)
    cleared = leftovers.clear(home)
    if remaining := leftovers.find(home):
        numbers = ", ".join(str(p.pid) for p in remaining)
        raise StackProblem(
            f"These processes of the stack could not be ended: {numbers}",
            remedy="They may belong to another OS user: try again with sudo.",
        )
    return watcher is not None or cleared > 0
