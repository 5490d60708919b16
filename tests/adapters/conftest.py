"""The ledger's backends for the tests of the stores: memory, SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlhub.adapters.clock import ManualClock
from mlhub.adapters.memory import MemoryStore
from mlhub.adapters.sql import SqlStore
from tests.adapters.postgres import Postgres, running_postgres
from tests.core.making import NOON

SQL = ("sqlite", pytest.param("postgresql", marks=pytest.mark.postgres))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One PostgreSQL server for all tests."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def clock() -> ManualClock:
    """Clocks that stand still at noon."""
    return ManualClock(NOON)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of a SQLite file that is not there yet."""
    return f"sqlite:///{tmp_path}/ledger.sqlite"


@pytest.fixture(params=SQL)
def url(request: pytest.FixtureRequest, sqlite_url: str) -> str:
    """The URL of an empty database, of each kind."""
    if request.param == "sqlite":
        return sqlite_url
    return request.getfixturevalue("postgres").new_database()


@pytest.fixture
async def opened(clock: ManualClock):
    """Opens SQL stores by URL, and closes them after the test."""
    stores: list[SqlStore] = []

    async def open_store(url: str, owner: str = "test", **more) -> SqlStore:
        store = SqlStore(url, more.pop("clock", clock), takeover=more.pop("takeover", 1), **more)
        stores.append(store)
        await store.open(owner)
        return store

    yield open_store
    for store in stores:
        await store.close()


@pytest.fixture(params=("memory", *SQL))
async def store(
    request: pytest.FixtureRequest, clock: ManualClock, opened: Callable, sqlite_url: str
):
    """An open ledger of each kind; its clock is moved by hand."""
    if request.param == "memory":
        kept = MemoryStore(clock)
        await kept.open("test")
        return kept
    if request.param == "sqlite":
        return await opened(sqlite_url)
    return await opened(request.getfixturevalue("postgres").new_database())
