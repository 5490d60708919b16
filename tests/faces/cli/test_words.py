"""What a person types wrongly is told in one line, and a narrow screen shows what matters."""

from __future__ import annotations

import io
import subprocess

import pytest
from rich.console import Console

from mlhub.cli import tables
from mlhub.cli.exits import Exit
from tests.running import MLHUB

WRONG = {
    "a command": (["bogus"], "No such command 'bogus'"),
    "a command of a group": (["config", "chek"], "Did you mean 'check'"),
    "nothing to release": (["release"], "Missing argument 'lease'"),
    "an option": (["leases", "--nope"], "No such option: --nope"),
    "no number": (["leases", "--limit", "x"], "'--limit': Input should be a valid integer"),
    "a port": (["up", "--port", "0"], "'--port'"),
    "a choice": (["up", "--gpus", "all"], "'all' is not one of 'auto', 'simulated', 'none'"),
}


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([MLHUB, *words], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(("words", "told"), WRONG.values(), ids=list(WRONG))
def test_wrong_words_are_told_in_one_line(words: list[str], told: str) -> None:
    ran = run(*words)
    assert (ran.returncode, ran.stdout) == (Exit.USAGE, "")
    assert ran.stderr.count("\n") == 1
    assert ran.stderr.startswith("mlhub: ")
    assert told in ran.stderr
    assert "--help` shows what there is." in ran.stderr


@pytest.mark.parametrize("words", [[], ["config"]])
def test_a_command_without_words_shows_its_help(words: list[str]) -> None:
    ran = run(*words)
    assert "Usage: mlhub" in ran.stdout + ran.stderr
    assert ran.returncode == Exit.USAGE


def drawn(width: int) -> str:
    sheet = tables.table("lease", "user", "waiting", "note", right=("waiting",), whole=("lease",))
    tables.add(sheet, "0123456789abcdef", "somebody-with-a-long-name", "3", "")
    console = Console(file=io.StringIO(), width=width)
    console.print(sheet)
    return console.file.getvalue()


def test_a_narrow_screen_loses_an_empty_column_and_never_part_of_an_id() -> None:
    assert "note" in drawn(80)
    narrow = drawn(40)
    assert "note" not in narrow
    assert "0123456789abcdef" in narrow
    assert "…" not in narrow
    assert max(map(len, narrow.splitlines())) <= 40
