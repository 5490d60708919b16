"""Identities that cannot be used stop the hub's start; a server that is away does not."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url
from traitlets.config import Config

from mlhub.adapters.sql.database import POSTGRESQL_OPTIONS
from mlhub.authenticator import identity_book
from mlhub.authenticator.bindings import Identity
from mlhub.authenticator.doorkeeper import Doorkeeper
from mlhub.authenticator.identity_book import IdentitiesUnavailable, IdentityBook
from mlhub.authenticator.multi import MultiAuthenticator
from mlhub.authenticator.rules import HouseRules
from mlhub.core.errors import BadInput, SchemaMismatch
from tests.adapters.postgres import Postgres, running_postgres


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


def start(url: str) -> None:
    """What the hub does before anybody comes."""
    book = IdentityBook(url)
    keeper = Doorkeeper(HouseRules(), book)
    try:
        MultiAuthenticator(doors={}, doorkeeper=keeper, config=Config()).check_allow_config()
    finally:
        book.close()


def test_a_directory_that_is_not_there_stops_the_start_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="No such file or directory") as caught:
        start(f"sqlite:///{tmp_path}/nowhere/identities.sqlite")
    assert caught.value.field == "authentication.identity_database"
    assert caught.value.remedy


def test_a_file_that_is_no_database_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("this is no database, and it is long enough to be read " * 40)
    with pytest.raises(BadInput, match="not a database"):
        start(f"sqlite:///{tmp_path / 'notes'}")


def test_identities_of_a_newer_version_stop_the_start(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'identities.sqlite'}"
    start(url)
    book = IdentityBook(url)
    table = identity_book.HISTORY.version_table
    with book._engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE {table} SET version_num = '9999'")
    with pytest.raises(SchemaMismatch, match="Install"):
        start(url)
    with pytest.raises(IdentitiesUnavailable, match="9999"):
        asyncio.run(book.ask(book.all))
    book.close()


@pytest.mark.postgres
def test_a_database_that_the_server_has_not_stops_the_start(postgres: Postgres) -> None:
    url = make_url(postgres.new_database())
    with pytest.raises(BadInput, match="does not exist"):
        start(url.set(database="nowhere").render_as_string(hide_password=False))


@pytest.mark.postgres
def test_the_server_is_told_its_patience_after_the_connection(postgres: Postgres) -> None:
    book = IdentityBook(postgres.new_database())
    book.open_at_start()
    with book._engine.connect() as connection:
        shown = [
            connection.exec_driver_sql(f"SHOW {name}").scalar()
            for name in ("lock_timeout", "statement_timeout")
        ]
        _, asked = connection.dialect.create_connect_args(book._address)
    assert shown == ["5s", "20s"]
    assert "options" not in asked | POSTGRESQL_OPTIONS
    book.close()


@pytest.mark.parametrize("answers", [False, True], ids=["away", "silent"])
def test_a_server_that_is_away_or_silent_does_not_stop_the_start(
    monkeypatch: pytest.MonkeyPatch, answers: bool
) -> None:
    monkeypatch.setitem(POSTGRESQL_OPTIONS, "connect_timeout", 2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        if not answers:
            server.close()
        start(f"postgresql+psycopg://mlhub@127.0.0.1:{port}/mlhub")


async def test_a_silent_database_takes_no_thread_but_the_books_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity_book, "PATIENCE_SECONDS", 0.2)
    before = threading.enumerate()
    book = IdentityBook(f"sqlite:///{tmp_path / 'identities.sqlite'}")
    release = threading.Event()
    try:
        asks = [book.ask(release.wait, 20)]
        asks += [book.ask(book.of, Identity("idp", str(number))) for number in range(40)]
        answers = await asyncio.gather(*asks, return_exceptions=True)
        assert {type(answer) for answer in answers} == {IdentitiesUnavailable}
        begun = [thread for thread in threading.enumerate() if thread not in before]
        assert [thread.name.startswith("identities") for thread in begun] == [True]
        assert await asyncio.to_thread(lambda: "free") == "free"
    finally:
        release.set()
        book.close()
