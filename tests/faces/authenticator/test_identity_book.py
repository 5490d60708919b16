"""The table of identities keeps its promises on SQLite and on PostgreSQL, under many writers."""

import os
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from mlhub.adapters.sql.schema import current, upgrade
from mlhub.authenticator.bindings import Binding, Clash, Ground, Identity
from mlhub.authenticator.identity_book import (
    HISTORY,
    IdentitiesUnavailable,
    IdentityBook,
    metadata,
)
from mlhub.core.errors import BadInput, SchemaMismatch
from tests.adapters.postgres import Postgres, running_postgres

GITHUB = "https://github.com"
ALICE = (
    "INSERT INTO mlhub_identities (namespace, subject, user_name, uid) "
    f"VALUES ('{GITHUB}', '1', 'alice', 1001)"
)


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


def open_once(url: str) -> None:
    book = IdentityBook(url)
    try:
        book.open()
    finally:
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


@pytest.fixture
def by_hand(url: str) -> Iterator[sa.Engine]:
    """The database without a book."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    yield engine
    engine.dispose()


def test_the_migrations_make_the_table_that_the_queries_use(url: str, by_hand: sa.Engine) -> None:
    open_once(url)
    options = {"version_table": HISTORY.version_table, "compare_type": True}
    with by_hand.connect() as connection:
        assert (
            compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []
        )


def test_an_upgrade_from_the_first_schema_keeps_every_name(url: str, by_hand: sa.Engine) -> None:
    with by_hand.begin() as connection:
        upgrade(connection, "0001", history=HISTORY)
        assert current(connection, history=HISTORY) == "0001"
        connection.exec_driver_sql(ALICE)
    book = IdentityBook(url)
    assert book.all() == [Binding(Identity(GITHUB, "1"), "alice", 1001)]
    assert isinstance(book.bind(Identity(GITHUB, "2"), "alice"), Clash)
    book.close()


def test_identities_from_before_the_migrations_keep_every_name(
    url: str, by_hand: sa.Engine
) -> None:
    with by_hand.begin() as connection:
        metadata.create_all(connection)
        connection.exec_driver_sql("CREATE TABLE mlhub_identities_schema (version INTEGER)")
        connection.exec_driver_sql("INSERT INTO mlhub_identities_schema VALUES (1)")
        connection.exec_driver_sql(ALICE)
    book = IdentityBook(url)
    assert book.all() == [Binding(Identity(GITHUB, "1"), "alice", 1001)]
    book.close()
    assert "mlhub_identities_schema" not in sa.inspect(by_hand).get_table_names()


def test_identities_of_a_newer_version_are_refused_and_left_alone(
    url: str, by_hand: sa.Engine
) -> None:
    open_once(url)
    with by_hand.begin() as connection:
        head = current(connection, history=HISTORY)
        connection.exec_driver_sql(f"UPDATE {HISTORY.version_table} SET version_num = '9999'")
    with pytest.raises(SchemaMismatch, match=rf"identities has .*9999.*{head}.*Install"):
        open_once(url)
    with by_hand.begin() as connection:
        assert current(connection, history=HISTORY) == "9999"


def test_an_upgrade_that_fails_leaves_the_former_schema_whole(url: str, by_hand: sa.Engine) -> None:
    with by_hand.begin() as connection:
        upgrade(connection, "0001", history=HISTORY)
        connection.exec_driver_sql(ALICE)
        # A view by that name: the second revision wants to drop a table.
        connection.exec_driver_sql("CREATE VIEW mlhub_identities_schema AS SELECT 1")
    with pytest.raises(IdentitiesUnavailable, match="mlhub_identities_schema"):
        open_once(url)
    with by_hand.begin() as connection:
        assert current(connection, history=HISTORY) == "0001"
        assert connection.exec_driver_sql("SELECT * FROM mlhub_identities").all()


def test_many_that_open_an_empty_database_at_once_make_one_table(url: str) -> None:
    with ThreadPoolExecutor(6) as pool:
        books = [IdentityBook(url) for _number in range(6)]
        list(pool.map(IdentityBook.open, books))
    assert books[0].bind(Identity(GITHUB, "1"), "alice") == books[5].of(Identity(GITHUB, "1"))
    for book in books:
        book.close()


def test_the_ledger_may_be_in_the_same_database(url: str, by_hand: sa.Engine) -> None:
    with by_hand.begin() as connection:
        upgrade(connection)
        ledgers = current(connection)
    open_once(url)
    with by_hand.begin() as connection:
        assert current(connection) == ledgers
        upgrade(connection)


def test_a_locked_database_is_said_to_be_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlhub.authenticator.identity_database.BUSY_SECONDS", 0.1)
    path = tmp_path / "identities.sqlite"
    book = IdentityBook(f"sqlite:///{path}")
    book.open()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(IdentitiesUnavailable, match="locked"):
        book.bind(Identity(GITHUB, "1"), "alice")
    other.execute("ROLLBACK")
    assert isinstance(book.bind(Identity(GITHUB, "1"), "alice"), Binding)
    other.close()
    book.close()


@pytest.mark.parametrize("url", ["", "word-with-a-secret", "mysql://u:a-secret@db/mlhub"])
def test_what_is_no_place_for_identities_is_refused_before_anything_connects(url: str) -> None:
    with pytest.raises(BadInput, match=r"authentication\.identity_database") as caught:
        IdentityBook(url)
    assert "a-secret" not in str(caught.value)
    assert "postgresql+psycopg://" in caught.value.remedy


def test_a_place_that_cannot_be_written_is_said_at_the_first_use(tmp_path: Path) -> None:
    book = IdentityBook(f"sqlite:///{tmp_path}/nowhere/identities.sqlite")
    with pytest.raises(IdentitiesUnavailable, match="No such file or directory"):
        book.of(Identity(GITHUB, "1"))
    (tmp_path / "nowhere").mkdir()
    assert book.of(Identity(GITHUB, "1")) is None
    book.close()


def test_the_file_is_closed_to_other_os_users(tmp_path: Path) -> None:
    path = tmp_path / "identities.sqlite"
    before = os.umask(0)
    try:
        open_once(f"sqlite:///{path}")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
