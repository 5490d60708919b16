"""`mlhub up`: everything from an empty directory to a sign-in page, and back again."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pwd
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

from mlhub.stack import gpus, hub_api, leftovers, logs, node, parts, ports, secret_files, wiring
from mlhub.stack.default_settings import write_if_missing
from mlhub.stack.home import Home, prepare
from mlhub.stack.problems import StackProblem
from mlhub.stack.supervisor import Supervisor
from mlhub.stack.wiring import Wiring

LOCK = "lock"
WATCHER = "watcher.json"
START_LIMIT_S = 120.0
TOO_OFTEN = 3
LOOPBACKS = {"127.0.0.1", "::1", "localhost"}

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the person who starts the stack asked for.

    Attributes:
        home: Where the stack lives.
        host: The address to listen on.
        port: The public TCP port.
        gpus: `auto`, `simulated` or `none`.
    """

    home: Home
    host: str
    port: int
    gpus: str


class AlreadyRuns(Exception):
    """Another `mlhub up` holds this home."""


@contextmanager
def sole_owner(home: Home) -> Iterator[None]:
    """Holds the home for one stack; the OS gives it back however this process ends.

    Raises:
        AlreadyRuns: another process holds it.
    """
    descriptor = os.open(home.run / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise AlreadyRuns from error
    me = psutil.Process()
    wiring.save_json(home.run / WATCHER, [me.pid, me.create_time()])
    try:
        yield
    finally:
        (home.run / WATCHER).unlink(missing_ok=True)
        os.close(descriptor)


def the_person() -> str | None:
    """Names the only one who may sign in: nobody in particular when we are root."""
    uid = os.geteuid()
    return None if uid == 0 else pwd.getpwuid(uid).pw_name


def make_ready(wishes: Wishes, say: Say) -> tuple[Wiring, bool, str]:
    """Does all that comes before the first process.

    Returns:
        The wiring, whether a password was made just now, and what GPUs were found.

    Raises:
        StackProblem: something is missing or in the way.
    """
    home, person = wishes.home, the_person()
    if left := leftovers.clear(home):
        say(f"ended {left} processes that an earlier run had left behind")
    refuse_open_password(wishes.host, person)
    ports.require_free(wishes.host, wishes.port)
    made = secret_files.make_missing(home.secrets)
    if write_if_missing(home.config_file):
        say(f"wrote the settings {home.config_file}: change them as you like")
    installed = node.install_parts(node.cache_directory(os.environ, home.path), say)
    choice = gpus.choose(wishes.gpus)
    plan = plan_wiring(wishes, person, installed, choice.source)
    wiring.save(home, plan)
    return plan, secret_files.PASSWORD in made, choice.sentence


def refuse_open_password(host: str, person: str | None) -> None:
    """Keeps the generated password off the network, where anybody could listen to it.

    Raises:
        StackProblem: the stack would be reachable from other machines by that password.
    """
    if person is not None and host not in LOOPBACKS:
        raise StackProblem(
            f"Without root the stack listens on this machine only, not on {host}",
            remedy="Leave --host away, and reach it from elsewhere through "
            "`ssh -L 8000:127.0.0.1:8000 this-machine`.",
        )


def plan_wiring(
    wishes: Wishes, person: str | None, installed: node.NodeParts, source: str
) -> Wiring:
    """Gives every part its port."""
    names = parts.available_services()
    hub, proxy_api, *others = ports.free_internal(2 + len(names))
    return Wiring(
        host=wishes.host,
        port=wishes.port,
        hub_port=hub,
        proxy_api_port=proxy_api,
        service_ports=dict(zip(names, others, strict=True)),
        person=person,
        gpus=source,
        node=str(installed.node),
        proxy=str(installed.proxy),
        code_server=str(installed.code_server),
    )


async def run(wishes: Wishes, say: Say) -> None:
    """Runs the stack until it is told to stop by Ctrl-C, `mlhub down` or a signal.

    Args:
        wishes: What was asked for.
        say: Is told what people should know.

    Raises:
        AlreadyRuns: another process runs this home.
        StackProblem: it cannot be started.
    """
    prepare(wishes.home)
    with sole_owner(wishes.home):
        plan, first_time, found = await asyncio.to_thread(make_ready, wishes, say)
        await supervise(
            wishes.home, plan, say, ending=[found, *how_to_sign_in(wishes.home, plan, first_time)]
        )


async def supervise(home: Home, plan: Wiring, say: Say, *, ending: list[str]) -> None:
    """Starts the parts, tells when people can sign in, and ends them when told to."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    supervisor = Supervisor(home, say, lambda name: after_restart(home, plan, name))
    supervisor.adopt_orphans()
    try:
        if await start_all(supervisor, plan, stop):
            for line in ending:
                say(line)
            await stop.wait()
        say("stopping; Ctrl-C again does it at once")
    finally:
        await end(supervisor, home, plan, stop)
    say("stopped, nothing is left running")


async def start_all(supervisor: Supervisor, plan: Wiring, stop: asyncio.Event) -> bool:
    """Starts every part and waits for the sign-in page.

    Returns:
        Whether it is there; it is not when the stack was told to stop meanwhile.

    Raises:
        StackProblem: it did not come up.
    """
    supervisor.say("starting " + ", ".join(p.name for p in parts.all_parts(supervisor.home, plan)))
    for part in parts.all_parts(supervisor.home, plan):
        supervisor.start(part)
    page = asyncio.create_task(hub_api.wait_for(f"{plan.url}/hub/login", limit_s=START_LIMIT_S))
    stopped = asyncio.create_task(stop.wait())
    dying = asyncio.create_task(find_dying(supervisor))
    done, pending = await asyncio.wait({page, stopped, dying}, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    if dying in done:
        raise never_came(supervisor.home, dying.result(), "keeps ending")
    if page in done and not page.result():
        raise never_came(supervisor.home, "hub", f"gave no page within {START_LIMIT_S:.0f} s")
    return page in done


async def find_dying(supervisor: Supervisor) -> str:
    """Waits until a part has ended several times in a row, and names it."""
    while True:
        for name, watch in supervisor.watches.items():
            if watch.failures >= TOO_OFTEN:
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


async def end(supervisor: Supervisor, home: Home, plan: Wiring, stop: asyncio.Event) -> None:
    """Ends everything: people's servers by way of the hub, then what is left."""
    loop = asyncio.get_running_loop()
    hurry = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, hurry.set)

    async def orderly() -> None:
        await hub_api.shut_down(home, plan)
        await supervisor.wait_for_end("hub", hurry)

    stop.set()
    await supervisor.stop(first=orderly)


def how_to_sign_in(home: Home, plan: Wiring, first_time: bool) -> list[str]:
    """Tells a person where to go and what to type there."""
    lines = [f"mlhub is up: {plan.url}"]
    if plan.person is None:
        return [*lines, "Sign in with any account of this machine and its password."]
    path = home.secrets / secret_files.PASSWORD
    if first_time:
        password = secret_files.read(home.secrets, secret_files.PASSWORD)
        lines.append(f"Sign in as {plan.person} with the password {password}")
        return [*lines, f"It is shown this once and kept in {path}"]
    return [*lines, f"Sign in as {plan.person}; the password is in {path}"]
