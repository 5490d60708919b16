"""The table of identities keeps its promises on SQLite and on PostgreSQL, under many writers."""

import os
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from mlhub.authenticator.bindings import Binding, Clash, Ground, Identity
from mlhub.authenticator.identity_book import IdentitiesUnavailable, IdentityBook
from mlhub.core.errors import SchemaMismatch
from tests.adapters.postgres import Postgres, running_postgres

GITHUB = "https://github.com"


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'identities.sqlite'}"
    return request.getfixturevalue("postgres").new_database()


@pytest.fixture
def book(url: str) -> Iterator[IdentityBook]:
    book = IdentityBook(url)
    yield book
    book.close()


def test_a_binding_lasts_over_a_restart(url: str) -> None:
    first = IdentityBook(url)
    first.bind(Identity(GITHUB, "1"), "alice")
    first.close()
    second = IdentityBook(url)
    assert second.of(Identity(GITHUB, "1")) == Binding(Identity(GITHUB, "1"), "alice")
    assert isinstance(second.bind(Identity(GITHUB, "2"), "alice"), Clash)
    second.close()


def test_a_repeat_changes_nothing(book: IdentityBook) -> None:
    for _time in range(3):
        assert book.bind(Identity(GITHUB, "1"), "alice") == Binding(Identity(GITHUB, "1"), "alice")
    assert len(book.all()) == 1


def test_of_many_who_ask_at_once_one_gets_the_name(book: IdentityBook) -> None:
    identities = [Identity(GITHUB, str(number)) for number in range(24)]
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda identity: book.bind(identity, "alice"), identities))
    assert sum(isinstance(answer, Binding) for answer in answers) == 1
    assert len(book.of_user("alice")) == 1


def test_a_pin_moves_an_identity_to_its_new_name(book: IdentityBook) -> None:
    book.bind(Identity(GITHUB, "1"), "alice")
    moved = book.bind(Identity(GITHUB, "1"), "asmith", ground=Ground.PINNED)
    assert moved == Binding(Identity(GITHUB, "1"), "asmith")
    assert book.of_user("alice") == []


def test_the_number_of_the_account_is_kept_with_the_name(book: IdentityBook) -> None:
    book.bind(Identity(GITHUB, "1"), "alice")
    book.record_uid("alice", 1001)
    joined = book.bind(Identity("https://idp", "7"), "alice", ground=Ground.PINNED)
    assert joined == Binding(Identity("https://idp", "7"), "alice", uid=1001)


def test_a_released_name_is_the_next_ones(book: IdentityBook) -> None:
    book.bind(Identity(GITHUB, "1"), "alice")
    assert book.release("alice") == 1
    assert isinstance(book.bind(Identity(GITHUB, "2"), "alice"), Binding)


def test_identities_of_a_newer_version_are_left_alone(url: str) -> None:
    IdentityBook(url).close()
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE mlhub_identities_schema SET version = 2"))
    engine.dispose()
    with pytest.raises(SchemaMismatch, match="newer than this mlhub"):
        IdentityBook(url)


def test_a_locked_database_is_said_to_be_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlhub.authenticator.identity_book.BUSY_SECONDS", 0.1)
    path = tmp_path / "identities.sqlite"
    book = IdentityBook(f"sqlite:///{path}")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(IdentitiesUnavailable, match="locked"):
        book.bind(Identity(GITHUB, "1"), "alice")
    other.execute("ROLLBACK")
    assert isinstance(book.bind(Identity(GITHUB, "1"), "alice"), Binding)
    other.close()
    book.close()


def test_the_file_is_closed_to_other_os_users(tmp_path: Path) -> None:
    path = tmp_path / "identities.sqlite"
    before = os.umask(0)
    try:
        IdentityBook(f"sqlite:///{path}").close()
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
