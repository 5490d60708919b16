"""`python -m mlhub.authenticator` shows who has which name, and frees one."""

from pathlib import Path

import pytest

from mlhub.authenticator.__main__ import main
from mlhub.authenticator.bindings import Identity
from mlhub.authenticator.identity_book import IdentityBook

GITHUB = "https://github.com"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    book = IdentityBook(f"sqlite:///{tmp_path / 'identities.sqlite'}")
    book.bind(Identity(GITHUB, "1"), "alice")
    book.bind(Identity(GITHUB, "2"), "bob")
    book.record_uid("bob", 1002)
    book.close()
    return tmp_path


def test_it_lists_who_has_which_name(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--state-dir", str(state), "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"alice\t{GITHUB}\t1\t-", f"bob\t{GITHUB}\t2\t1002"]


def test_it_frees_a_name(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--state-dir", str(state), "release", "alice"]) == 0
    assert "'alice' is free" in capsys.readouterr().out
    assert main(["--state-dir", str(state), "release", "alice"]) == 1
    assert "Nobody has the user name 'alice'" in capsys.readouterr().err


def test_it_reads_where_the_database_is_from_a_file(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = state / "url"
    url.write_text(f"sqlite:///{state / 'identities.sqlite'}")
    url.chmod(0o600)
    assert main(["--database-file", str(url), "list"]) == 0
    assert "alice" in capsys.readouterr().out


def test_it_makes_no_table_where_there_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--state-dir", str(tmp_path), "list"]) == 3
    assert "there is no" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
