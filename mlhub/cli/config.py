"""`mlhub config check` and `config schema`: what is wrong with mlhub.yaml, what may be in it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from mlhub.cli import screen
from mlhub.cli.access import HomeOption, JsonOption
from mlhub.cli.exits import Exit
from mlhub.cli.stack import home_of
from mlhub.configuration import Checked, Problem, check, schema_text
from mlhub.core.quantities import plural

PathArgument = Annotated[
    Path | None, typer.Argument(help="The file; default: MLHUB_CONFIG, else the home's.")
]


def register(app: typer.Typer) -> None:
    """Adds this group's commands."""
    group = typer.Typer(help="Check mlhub.yaml, and print its schema.", no_args_is_help=True)
    group.command("check")(check_file)
    group.command("schema")(schema)
    app.add_typer(group, name="config")


def config_file(named: Path | None, home: Path | None, environ: Mapping[str, str]) -> Path:
    """The file that a command is about."""
    if named is not None:
        return named
    if environ.get("MLHUB_CONFIG") and home is None:
        return Path(environ["MLHUB_CONFIG"])
    return home_of(home).config_file


def check_file(
    path: PathArgument = None, home: HomeOption = None, as_json: JsonOption = False
) -> None:
    """Tell everything that is wrong with mlhub.yaml, each with its line and a remedy."""
    checked = check(config_file(path, home, os.environ))
    if as_json:
        screen.print_json(document(checked))
    else:
        for problem in checked.problems:
            screen.say(problem.line(checked.file))
        screen.say(summary(checked))
    raise typer.Exit(Exit.FAILED if checked.errors else Exit.OK)


def summary(checked: Checked) -> str:
    """What came of a check, in a line."""
    errors = len(checked.errors)
    warnings = len(checked.problems) - errors
    if not checked.problems:
        return f"{checked.file}: nothing is wrong."
    return f"{checked.file}: {plural(errors, 'error')}, {plural(warnings, 'warning')}."


def document(checked: Checked) -> dict[str, Any]:
    """A check as a program gets it."""
    return {
        "file": checked.file,
        "ok": not checked.errors,
        "problems": [_row(problem) for problem in checked.problems],
    }


def _row(problem: Problem) -> dict[str, Any]:
    place = problem.place
    return {
        "path": problem.where,
        "line": place.line if place else None,
        "column": place.column if place else None,
        "severity": str(problem.severity),
        "message": problem.message,
        "remedy": problem.remedy,
    }


def schema() -> None:
    """Print the JSON Schema of mlhub.yaml, for editors."""
    typer.echo(schema_text(), nl=False)
