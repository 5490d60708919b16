"""How every command speaks: lines for people, JSON for programs, one clear line for a problem."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from rich.console import Console
from rich.markup import escape

from mlhub.cli.exits import Exit
from mlhub.stack.problems import StackProblem

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """Prints a line for people."""
    console.print(escape(text), soft_wrap=True)


def print_json(value: Any) -> None:
    """Prints one JSON document for programs."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def fail(text: str, code: Exit = Exit.FAILED) -> NoReturn:
    """Prints what is wrong and ends the command.

    Raises:
        SystemExit: always, with the code.
    """
    errors.print(f"[bold red]mlhub:[/] {escape(text)}", soft_wrap=True)
    raise SystemExit(int(code))


@contextmanager
def problems_in_one_line() -> Iterator[None]:
    """Turns an expected problem into its line and exit code."""
    try:
        yield
    except StackProblem as problem:
        fail(str(problem))
