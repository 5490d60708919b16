"""`mlhub up`: from an empty directory to a sign-in page, and back again."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

from mlhub.ending import mark_of
from mlhub.stack import hub_api, logs, parts, wiring
from mlhub.stack.home import Home, prepare
from mlhub.stack.preparing import Say, Wishes, make_ready
from mlhub.stack.problems import AlreadyRuns, StackProblem
from mlhub.stack.supervisor import Supervisor
from mlhub.stack.wiring import Wiring

START_LIMIT_S = 120.0
TOO_OFTEN = 3


@contextmanager
def sole_owner(home: Home) -> Iterator[None]:
    """Holds the home for one stack; the OS gives it back however this process ends.

    Raises:
        AlreadyRuns: another process holds it.
    """
    descriptor = os.open(home.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise AlreadyRuns from error
    me = os.getpid()
    wiring.save_json(home.watcher_file, [me, mark_of(me)])
    try:
        yield
    finally:
        home.watcher_file.unlink(missing_ok=True)
        os.close(descriptor)


def run(wishes: Wishes, say: Say) -> None:
    """Runs the stack until it is told to stop by Ctrl-C, `mlhub down` or a signal.

    Args:
        wishes: What was asked for.
        say: Is told what people should know.

    Raises:
        AlreadyRuns: another process runs this home.
        StackProblem: it cannot be started.
    """
    home = wishes.home
    prepare(home)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)
    with sole_owner(home):
        ready = make_ready(wishes, say)
        asyncio.run(supervise(home, ready.wiring, unbreakable(say), once_up=ready.once_up))


def leave(number: int, _frame: FrameType | None) -> NoReturn:
    """Ends what comes before the first process in an orderly way, an installation for instance.

    Raises:
        SystemExit: always, with the status that shells give to an end by this signal.
    """
    sys.exit(128 + number)


def unbreakable(say: Say) -> Say:
    """Lets the stack run on when nobody can be told: a closed terminal, or a full disk."""

    def quietly(text: str) -> None:
        with suppress(OSError, SystemExit):  # rich exits where nobody reads a pipe any more
            say(text)

    return quietly


async def supervise(home: Home, plan: Wiring, say: Say, *, once_up: list[str]) -> None:
    """Starts the parts, tells when people can sign in, and ends them when told to."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    supervisor = Supervisor(home, say, lambda name: after_restart(home, plan, name))
    supervisor.adopt_orphans()
    try:
        if await start_all(supervisor, plan, stop):
            for line in once_up:
                say(line)
            await stop.wait()
        say("stopping; Ctrl-C again does it at once")
    finally:
        await end(supervisor, home, plan)
    say("stopped, nothing is left running")


async def start_all(supervisor: Supervisor, plan: Wiring, stop: asyncio.Event) -> bool:
    """Starts every part and waits for the sign-in page.

    Returns:
        Whether it is there; it is not when the stack was told to stop meanwhile.

    Raises:
        StackProblem: it did not come up.
    """
    every = parts.all_parts(supervisor.home, plan)
    supervisor.say("starting " + ", ".join(part.name for part in every))
    for part in every:
        supervisor.start(part)
    page = asyncio.create_task(wait_for_pages(plan))
    stopped = asyncio.create_task(stop.wait())
    dying = asyncio.create_task(find_dying(supervisor))
    done, pending = await asyncio.wait({page, stopped, dying}, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    if dying in done:
        raise never_came(supervisor.home, dying.result(), "keeps ending")
    if page in done and (late := page.result()):
        raise never_came(supervisor.home, late, f"gave no page within {START_LIMIT_S:.0f} s")
    return page in done


async def wait_for_pages(plan: Wiring) -> str | None:
    """Waits for what a person needs to sign in and start a server: the hub and the quota service.

    Returns:
        The part that did not answer in time; None when both do.
    """
    if not await hub_api.wait_for(f"{plan.url}hub/login", limit_s=START_LIMIT_S):
        return "hub"
    # The hub routes to its services last; until then it answers in their place, with an error.
    quota = f"{plan.url}services/quota/healthz"
    came = await hub_api.wait_for(quota, limit_s=START_LIMIT_S, below=400)
    return None if came else "quota"


async def find_dying(supervisor: Supervisor) -> str:
    """Waits until a part that all need has ended several times in a row, and names it."""
    while True:
        for name, watch in supervisor.watches.items():
            if name not in parts.DISPENSABLE and watch.failures >= TOO_OFTEN:
                return name
        await asyncio.sleep(hub_api.POLL_S)


def never_came(home: Home, name: str, what: str) -> StackProblem:
    """Says which part did not come up, with the end of its log."""
    path = home.logs / f"{name}.log"
    last = "\n".join(f"    {line}" for line in logs.tail(path))
    return StackProblem(
        f"{name} {what}; the end of {path}:\n{last}\n",
        remedy="Mend what it complains of and start again.",
    )


async def after_restart(home: Home, plan: Wiring, name: str) -> None:
    """Mends what a part forgot by ending: a new proxy knows no routes."""
    if name == "proxy":
        await hub_api.restore_routes(home, plan)


async def end(supervisor: Supervisor, home: Home, plan: Wiring) -> None:
    """Ends everything: people's servers by way of the hub, then what is left."""
    loop = asyncio.get_running_loop()
    hurry = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, hurry.set)

    async def orderly() -> None:
        if await hub_api.shut_down(home, plan):
            await supervisor.wait_for_end("hub", hurry)

    await supervisor.stop(first=orderly)
