"""Keeps the parts of the stack running: starts them, starts them again, and ends them."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field

from mlhub.stack import health, leftovers, logs
from mlhub.stack.chores import Chores
from mlhub.stack.home import Home
from mlhub.stack.parts import Part
from mlhub.stack.wiring import save_json

FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 60.0
HEALTHY_AFTER_S = 30.0
PATIENCE_S = 8.0
ORDERLY_S = 20.0  # for the hub to stop everybody's server
SET_CHILD_SUBREAPER = 36  # Linux's prctl(2)

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Watch:
    """What is known about one part.

    Attributes:
        part: How it is started.
        process: The running process; None between two.
        starts: How often it has been started.
        failures: How often in a row it ended before it was healthy.
        starting: Whether it is being started just now.
        last_exit: The exit code of the last one that ended.
        answers: Whether it answered when it was last asked; None until its first answer.
    """

    part: Part
    process: asyncio.subprocess.Process | None = None
    starts: int = 0
    failures: int = 0
    starting: bool = False
    last_exit: int | None = None
    answers: bool | None = None


def delay_after(failures: int) -> float:
    """Says how long to wait before a start, in seconds.

    The first end is answered at once; a part that keeps ending is started ever more rarely.

    Args:
        failures: How often in a row it ended soon after its start; 0 if it had lived well.
    """
    return min(LONGEST_DELAY_S, FIRST_DELAY_S * 2 ** max(0, failures - 1))


@dataclass
class Supervisor:
    """Runs the parts until it is told to stop.

    Attributes:
        home: The stack's home.
        say: Is told what people should know.
        revived: Is called after a part has been started again, with its name.
        patience: How long a part may be silent before it is ended and started anew.
    """

    home: Home
    say: Callable[[str], None]
    revived: Callable[[str], Coroutine[None, None, None]]
    patience: health.Patience = field(default_factory=health.Patience)
    watches: dict[str, Watch] = field(default_factory=dict)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _chores: asyncio.Task[None] | None = None
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        """Takes up the chores that belong to the watching."""
        self.chores = Chores(self.home, self.say, self._numbers)

    def adopt_orphans(self) -> None:
        """Makes this process the parent of whatever its descendants leave behind (Linux)."""
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def start(self, part: Part) -> None:
        """Starts a part and keeps it running from now on."""
        if self._chores is None:
            self._chores = asyncio.create_task(self.chores.run())
        self.watches[part.name] = watch = Watch(part)
        self._tasks.append(asyncio.create_task(self._keep(watch), name=part.name))

    async def _keep(self, watch: Watch) -> None:
        while not self._stopping.is_set():
            began = time.monotonic()
            await self._launch(watch)
            if watch.starts > 1:
                self._tasks.append(asyncio.create_task(self.revived(watch.part.name)))
            watch.last_exit = await self._until_ended(watch)
            watch.process = watch.answers = None
            if self._stopping.is_set():
                return
            healthy = time.monotonic() - began >= HEALTHY_AFTER_S
            watch.failures = 0 if healthy else watch.failures + 1
            await self._pause(watch)

    async def _until_ended(self, watch: Watch) -> int | None:
        if watch.process is None:
            return None
        guard = asyncio.create_task(self._end_when_hung(watch, watch.process))
        try:
            return await watch.process.wait()
        finally:
            guard.cancel()

    async def _end_when_hung(self, watch: Watch, process: asyncio.subprocess.Process) -> None:
        """Kills a part that runs and does not answer: it would not heed a polite signal either."""
        if watch.part.health is None:
            return

        def heard(there: bool) -> None:
            if there is not watch.answers:
                watch.answers = there
                self._write_states()

        await health.until_hung(watch.part.health, self.patience, heard)
        if not self._stopping.is_set() and process.returncode is None:
            name, limit = watch.part.name, self.patience.longest_s
            self.say(f"{name} hangs: it runs and has not answered for {limit:.0f} s; ending it")
            process.kill()

    async def _launch(self, watch: Watch) -> None:
        part = watch.part
        watch.starting = True
        try:
            with logs.opened(self.home.logs / f"{part.name}.log") as descriptor:
                watch.process = await asyncio.create_subprocess_exec(
                    *part.command,
                    cwd=part.directory,
                    env=dict(part.environment),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=descriptor,
                    stderr=descriptor,
                    start_new_session=True,  # Ctrl-C reaches us alone: we end the parts in order
                )
            watch.starts += 1
        except OSError:
            log.exception("%s cannot be started", part.name)
        finally:
            watch.starting = False
        self._write_states()

    async def _pause(self, watch: Watch) -> None:
        delay = delay_after(watch.failures)
        name, code = watch.part.name, watch.last_exit
        self.say(f"{name} ended ({describe_exit(code)}); starting it again in {delay:g} s")
        if watch.failures > 3:
            self.say(f"{name} keeps ending: its log is {self.home.logs / name}.log")
        self._write_states()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), delay)

    def _numbers(self) -> set[int] | None:
        if any(watch.starting for watch in self.watches.values()):
            return None
        return {watch.process.pid for watch in self.watches.values() if watch.process}

    def _write_states(self) -> None:
        states = {
            name: {
                "pid": watch.process.pid if watch.process else None,
                "starts": watch.starts,
                "failures": watch.failures,
                "last_exit": watch.last_exit,
                "answers": watch.answers,
            }
            for name, watch in self.watches.items()
        }
        with self.chores.enduring("what `mlhub status` shows"):
            save_json(self.home.states_file, states)

    async def wait_for_end(self, name: str, hurry: asyncio.Event) -> None:
        """Waits for a part to end by itself, but not for ever and not when it is to be quick."""
        watch = self.watches.get(name)
        if watch is None or watch.process is None:
            return
        ended = asyncio.create_task(watch.process.wait())
        hurried = asyncio.create_task(hurry.wait())
        await asyncio.wait({ended, hurried}, timeout=ORDERLY_S, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()

    async def stop(self, *, first: Callable[[], Awaitable[None]]) -> None:
        """Ends every part, and everything that a part has started.

        Args:
            first: Is awaited before: it may end in an orderly way what can be ended so.
        """
        self._stopping.set()
        await first()
        for name in reversed(self.watches):
            process = self.watches[name].process
            if process and process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(signal.SIGTERM)
        running = [t for t in self._tasks if not t.done()]
        if running:
            await asyncio.wait(running, timeout=PATIENCE_S)
        for task in (*self._tasks, *filter(None, [self._chores])):
            task.cancel()
        self.chores.record(self.chores.family())
        with self.chores.enduring("the record of processes"):
            await asyncio.to_thread(leftovers.clear, self.home)
        self.chores.reap()
        with self.chores.enduring("what `mlhub status` shows"):
            self.home.states_file.unlink(missing_ok=True)


def describe_exit(code: int | None) -> str:
    """Says in words how a process ended."""
    if code is None:
        return "it could not be started"
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"by {signal.Signals(-code).name}"
    except ValueError:
        return f"by signal {-code}"
