"""The page about the command line names every command, option and exit code that there is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from mlhub.cli import build
from mlhub.cli.exits import Exit

PAGE = (Path(__file__).parents[3] / "docs/reference/command-line.md").read_text()
EVERYWHERE = {"--help"}


def commands(group: Any, path: str = "mlhub") -> Iterator[tuple[str, Any]]:
    """Every command that does something, with the words that call it."""
    inner = getattr(group, "commands", None)
    if inner is None:
        yield path, group
        return
    for name, command in inner.items():
        yield from commands(command, f"{path} {name}")


def test_every_command_and_option_is_on_the_page() -> None:
    found = dict(commands(typer.main.get_command(build())))
    assert "mlhub config check" in found
    for words, command in found.items():
        assert f"`{words}" in PAGE, words
        options = {name for option in command.params for name in option.opts if "--" in name}
        missing = {name for name in options - EVERYWHERE if name not in PAGE}
        assert not missing, words


def test_every_exit_code_is_on_the_page() -> None:
    rows = {int(number) for number in re.findall(r"^\| (\d) \|", PAGE, re.MULTILINE)}
    assert rows == {int(code) for code in Exit}
