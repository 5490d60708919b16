"""How every command speaks: lines for people, JSON for programs, one clear line for a problem."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from mlhub.cli.exits import Exit
from mlhub.stack.problems import StackProblem

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)

# typer has a copy of click of its own, and no public name for what is wrong with a command's words
UsageError = typer.BadParameter.__mro__[1]


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
    except UsageError as problem:
        tell_usage(problem)


def tell_usage(problem: Any) -> NoReturn:
    """Says which words of a command make no sense; a command without any shows its help.

    Raises:
        SystemExit: always.
    """
    text, context = problem.format_message(), problem.ctx
    if not text:
        raise SystemExit(int(Exit.USAGE))  # the help was shown
    command = context.command_path if context else "mlhub"
    words = text.strip().replace("Value error, ", "").rstrip(".?")
    fail(f"{words}. `{command} --help` shows what there is.", Exit.USAGE)
