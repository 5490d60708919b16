"""The stack's secrets: made once, private, and refused when they are not."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from mlhub.stack import secret_files
from mlhub.stack.problems import StackProblem


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    secret_files.make_missing(tmp_path)
    return tmp_path


def test_every_secret_is_made_private_and_no_two_are_alike(directory: Path):
    files = list(directory.iterdir())
    assert {path.name for path in files} == set(secret_files.EVERY)
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert len({path.read_text() for path in files}) == len(files)


def test_a_second_start_keeps_what_is_there_and_makes_what_is_missing(directory: Path):
    kept = secret_files.read(directory, secret_files.QUOTA_TOKEN)
    (directory / secret_files.PROXY_TOKEN).unlink()
    assert secret_files.make_missing(directory) == {secret_files.PROXY_TOKEN}
    assert secret_files.read(directory, secret_files.QUOTA_TOKEN) == kept


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_secret_that_others_may_read_is_refused_with_the_remedy(directory: Path, mode: int):
    path = directory / secret_files.STACK_TOKEN
    path.chmod(mode)
    with pytest.raises(StackProblem, match=f"chmod 600 {path}"):
        secret_files.make_missing(directory)


@pytest.mark.parametrize("text", ["", "\n", "secret", "x" * 15])
def test_an_empty_or_short_secret_is_refused(directory: Path, text: str):
    (directory / secret_files.STACK_TOKEN).write_text(text)
    with pytest.raises(StackProblem, match=r"is empty|less than 16 characters"):
        secret_files.make_missing(directory)
