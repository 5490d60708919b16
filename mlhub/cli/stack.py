"""`mlhub up`, `down` and `status`: the stack on this machine."""

from __future__ import annotations

import os
from dataclasses import asdict
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from mlhub.cli import screen
from mlhub.cli.exits import Exit
from mlhub.stack import running
from mlhub.stack.home import Home, default_home
from mlhub.stack.problems import AlreadyRuns
from mlhub.stack.running import PartState, StackState
from mlhub.stack.wiring import LOOPBACK

MIB = 1024 * 1024
PORT = 8000


class GpuWish(StrEnum):
    """Where the GPUs come from."""

    auto = "auto"
    simulated = "simulated"
    none = "none"


HomeOption = Annotated[
    Path | None,
    typer.Option("--home", help="The stack's directory.", envvar="MLHUB_HOME", file_okay=False),
]


def home_of(named: Path | None) -> Home:
    """Finds the home that a command is about."""
    if named is not None:
        return Home(named.expanduser().resolve())
    return Home(default_home(os.environ, as_root=os.geteuid() == 0))


def register(app: typer.Typer) -> None:
    """Adds this group's commands."""
    app.command("up")(start)
    app.command("down")(stop)
    app.command("status")(status)


def start(
    home: HomeOption = None,
    host: Annotated[
        str | None, typer.Option(help="The address to listen on.", show_default="127.0.0.1")
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="The TCP port.", min=1, max=65535, show_default="8000")
    ] = None,
    gpus: Annotated[
        GpuWish, typer.Option(help="Real GPUs, simulated ones, or none.")
    ] = GpuWish.auto,
) -> None:
    """Start everything and keep it running until Ctrl-C or `mlhub down`."""
    from mlhub.stack import up  # noqa: PLC0415 - takes a second, which other commands need not wait
    from mlhub.stack.preparing import Wishes  # noqa: PLC0415

    place = home_of(home)
    wishes = Wishes(place, host=host or LOOPBACK, port=port or PORT, gpus=gpus.value)
    try:
        up.run(wishes, screen.say)
    except AlreadyRuns:
        tell_that_it_runs(place, host=host, port=port)


def tell_that_it_runs(home: Home, *, host: str | None, port: int | None) -> None:
    """Says how to reach the stack that already runs in this home."""
    state = running.look(home)
    if state is None:
        screen.fail(f"Another `mlhub up` is just starting or stopping in {home.path}: try again.")
    screen.say(f"mlhub already runs here: {state.wiring.url} (process {state.watcher})")
    screen.say("`mlhub status` shows it, `mlhub down` stops it.")
    plan = state.wiring
    if (host or plan.host, port or plan.port) != (plan.host, plan.port):
        raise typer.Exit(Exit.OTHERWISE)


def stop(home: HomeOption = None) -> None:
    """Stop everything, people's servers included."""
    place = home_of(home)
    if running.bring_down(place):
        screen.say("stopped, nothing is left running")
    else:
        screen.say(f"nothing was running in {place.path}")


def status(
    home: HomeOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON for programs.")] = False,
) -> None:
    """Show what is running; exit code 0 when all of it is, 3 when none."""
    place = home_of(home)
    state = running.look(place)
    if as_json:
        screen.print_json(as_document(place, state))
    elif state is None:
        screen.say(f"nothing is running in {place.path}; `mlhub up` starts it")
    else:
        show(state)
    raise typer.Exit(exit_code_for(state))


def exit_code_for(state: StackState | None) -> Exit:
    """Says in a number how the stack is."""
    if state is None:
        return Exit.NOT_RUNNING
    return Exit.OK if state.healthy else Exit.FAILED


def as_document(home: Home, state: StackState | None) -> dict[str, object]:
    """Describes the stack for programs."""
    if state is None:
        return {"running": False, "healthy": False, "home": str(home.path), "parts": []}
    return {
        "running": True,
        "healthy": state.healthy,
        "home": str(home.path),
        "url": state.wiring.url,
        "gpus": state.wiring.gpus,
        "watcher": state.watcher,
        "parts": [asdict(part) for part in state.parts],
    }


def word_for(part: PartState) -> str:
    """Says how one part is."""
    if part.pid is None:
        return "starting again"
    return "not answering" if part.answers is False else "running"


def show(state: StackState) -> None:
    """Prints the stack as a table."""
    table = Table("part", "state", "process", "since", "restarts", "memory", box=None)
    for column in ("process", "restarts", "memory"):
        next(c for c in table.columns if c.header == column).justify = "right"
    for part in state.parts:
        since = datetime.fromtimestamp(part.started).strftime("%H:%M:%S") if part.started else ""
        word = word_for(part)
        memory = f"{part.memory / MIB:,.0f} MiB" if part.memory else ""
        number = str(part.pid or "")
        table.add_row(part.name, word, number, since, str(part.restarts), memory)
    screen.console.print(table)
    screen.say(f"{state.wiring.url}   GPUs: {state.wiring.gpus}")
