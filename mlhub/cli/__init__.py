"""The command line: one module for each group of commands, put together here."""

from __future__ import annotations

import sys

import typer

from mlhub.cli import config, doctor, gpus, leases, queue, screen, stack

GROUPS = (stack, gpus, queue, leases, config, doctor)


def build() -> typer.Typer:
    """Puts the commands of all groups into one program."""
    app = typer.Typer(
        name="mlhub",
        help="GPUs by lease, with JupyterHub as their face.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for group in GROUPS:
        group.register(app)
    return app


def main() -> None:
    """Entry point of the command `mlhub`."""
    with screen.problems_in_one_line():
        sys.exit(build()(standalone_mode=False) or 0)
