"""`mlhub doctor`: looks at everything, says what is wrong and what to do about each finding."""

from __future__ import annotations

import asyncio
import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import RenderableType

from mlhub.cli import asking, screen, tables
from mlhub.cli.access import Access, HomeOption, JsonOption, Lack, TokenFileOption, UrlOption, find
from mlhub.cli.config import config_file
from mlhub.cli.exits import Exit
from mlhub.cli.findings import Found, Level, bad
from mlhub.cli.service_checks import look_at_service
from mlhub.cli.stack import home_of
from mlhub.core.quantities import plural

MARKS: Final = {
    Level.OK: "[green]ok[/]",
    Level.NOTE: "[yellow]note[/]",
    Level.PROBLEM: "[bold red]problem[/]",
}
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="The mlhub.yaml to look at; default: the home's.")
]


def register(app: typer.Typer) -> None:
    """Adds this group's commands."""
    app.command("doctor")(doctor)


def doctor(
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    home: HomeOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look at settings, files, processes, ledger and GPUs; exit code 1 when something is wrong."""
    from mlhub.cli.home_checks import look_at_home  # noqa: PLC0415 - it loads the ledger's adapters

    place = home_of(home)
    found = list(look_at_home(place, config_file(config, home, os.environ)))
    try:
        found += examine(find(url, token_file, place, os.environ))
    except Lack as lack:
        # A stack that was not started is no illness; one that was named and lacks a token is.
        if lack.running or url is not None:
            found.append(bad("service", str(lack), "Name both with --url and --token-file."))
    problems = sum(row.level is Level.PROBLEM for row in found)
    if as_json:
        screen.print_json({"ok": not problems, "found": [asdict(row) for row in found]})
    else:
        tables.show(picture(found))
        screen.say(f"{plural(problems, 'problem')} found." if problems else "Nothing is wrong.")
    raise typer.Exit(Exit.FAILED if problems else Exit.OK)


def examine(access: Access) -> list[Found]:
    """What the service tells of itself."""

    async def look() -> list[Found]:
        async with asking.client_for(access) as client:
            return [found async for found in look_at_service(client)]

    return asyncio.run(look())


def picture(found: list[Found]) -> RenderableType:
    """The findings as people read them; what is bad comes with its remedy."""
    made = tables.table("", "about", "seen", "to do")
    for row in found:
        made.add_row(
            MARKS[row.level], row.about, tables.plain(row.detail), tables.plain(row.remedy)
        )
    return made
