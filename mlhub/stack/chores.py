"""What is done beside the parts, again and again: orphans' ends, the record of processes, logs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field

import psutil

from mlhub.ending import children_of
from mlhub.stack import leftovers, logs
from mlhub.stack.home import Home

REAP_S = 0.5
LOOK_S = 5.0  # between two looks at every process of the machine, which take some work


@dataclass
class Chores:
    """The chores of one supervisor, none of which may end its watch.

    Attributes:
        home: The stack's home.
        say: Is told what cannot be done.
        parts: Gives the numbers of the parts; None while one is being started, whose number is
            not known yet.
    """

    home: Home
    say: Callable[[str], None]
    parts: Callable[[], Collection[int] | None]
    _ailing: set[str] = field(default_factory=set)
    _strangers: frozenset[int] = field(default_factory=lambda: frozenset(own_children()))

    async def run(self) -> None:
        """Does them to the very end.

        While the stack stops, the hub waits for servers whose end only we can take note of.
        """
        seen: set[psutil.Process] = set()
        due = time.monotonic()
        while True:
            self.reap()
            if time.monotonic() >= due:
                due = time.monotonic() + LOOK_S
                family = set(self.family())
                if family != seen and self.record(family):
                    seen = family
                self._cut_logs()
            await asyncio.sleep(REAP_S)

    def family(self) -> list[psutil.Process]:
        """What this process has started for the stack, and what that started.

        What it had started before is somebody else's, as where a test runs a supervisor.
        """
        mine = [row for pid, row in own_children().items() if pid not in self._strangers]
        return [*mine, *(below for child in mine for below in children_of(child))]

    def record(self, family: Iterable[psutil.Process]) -> bool:
        """Writes down what a later `mlhub down` would have to end; tells whether it could."""
        with self.enduring("the record of processes"):
            leftovers.record(self.home, family)
            return True
        return False

    def reap(self) -> None:
        """Takes note of the end of processes that were left to us by a part that ended.

        The parts' own ends are left to those who wait for them.
        """
        parts = self.parts()
        if parts is None or not a_child_has_ended():
            return
        for pid in own_children().keys() - self._strangers - set(parts):
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)  # one that lives is left as it is

    def _cut_logs(self) -> None:
        with self.enduring("an older part of a log"):
            for path in self.home.logs.glob("*.log"):
                logs.rotate(path)

    @contextlib.contextmanager
    def enduring(self, what: str) -> Iterator[None]:
        """Goes on where a file cannot be written, on a full disk for instance; says so once."""
        try:
            yield
            self._ailing.discard(what)
        except OSError as error:
            if what not in self._ailing:
                self._ailing.add(what)
                self.say(f"{what} cannot be written ({error.strerror}); everything goes on")


def own_children() -> dict[int, psutil.Process]:
    """The processes that this one has started itself or adopted, by number."""
    return {child.pid: child for child in psutil.Process().children()}


def a_child_has_ended() -> bool:
    """Tells whether there is a child to take note of; its exit status stays where it is.

    Which one it is says nothing about the others: it is the same one until somebody waits for it.
    """
    if sys.platform != "linux":
        return False  # only there are we given other processes' children
    try:
        return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return False
