"""The database of the identities: its address, its connections, and which troubles pass."""

import os
from pathlib import Path
from typing import Any, Final

import psycopg
import sqlalchemy as sa
from psycopg.conninfo import make_conninfo
from psycopg.pq import PGconn, Ping
from sqlalchemy.engine import URL, Connection, Engine, make_url

from mlhub.adapters.sql.database import POSTGRESQL, POSTGRESQL_OPTIONS
from mlhub.core.errors import BadInput

SETTING: Final = "authentication.identity_database"
REMEDY: Final = "write sqlite:////path/to/file.sqlite or postgresql+psycopg://user@host/database"
BUSY_SECONDS = 5
# PostgreSQL's classes of states that end by themselves: a lost connection, no room, a deadlock,
# a lock that somebody has, an operator at work.
PASSING: Final = ("08", "40", "53", "55", "57")


def checked_address(url: str) -> URL:
    """Reads SQLAlchemy's address of a database that identities can be kept in.

    Raises:
        BadInput: it is no such address.
    """
    try:
        address = make_url(url)
    except (sa.exc.ArgumentError, ValueError):  # its text may hold a password
        raise BadInput(SETTING, "this is no URL of a database", REMEDY) from None
    backend = address.get_backend_name()
    if backend not in ("sqlite", "postgresql"):
        raise BadInput(SETTING, f"identities cannot be kept in {backend[:40]!r}", REMEDY)
    return address if backend == "sqlite" else address.set(drivername="postgresql+psycopg")


def engine_of(address: URL) -> Engine:
    """Makes the engine; nothing is connected yet."""
    if address.get_backend_name() != "sqlite":
        engine = sa.create_engine(
            address, pool_pre_ping=True, hide_parameters=True, connect_args=_patience(address)
        )
        sa.event.listen(engine, "connect", _prepare_postgresql)
        return engine
    engine = sa.create_engine(address, connect_args={"timeout": BUSY_SECONDS})
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_immediately)
    return engine


def make_private(address: URL) -> None:
    """Makes SQLite's file where there is none, closed to other OS users.

    Raises:
        OSError: it cannot be made or written.
    """
    if address.get_backend_name() == "sqlite" and address.database not in (None, ":memory:"):
        os.close(os.open(Path(str(address.database)), os.O_RDWR | os.O_CREAT, 0o600))


def is_passing(problem: BaseException, address: URL) -> bool:
    """Whether waiting may help: PostgreSQL is away, silent or busy. Asks the server if need be."""
    origin = getattr(problem, "orig", None)
    if isinstance(problem, sa.exc.TimeoutError) or isinstance(
        origin, psycopg.errors.ConnectionTimeout
    ):
        return True
    if not isinstance(origin, psycopg.OperationalError):
        return _has_passing_state(origin)
    if origin.sqlstate is not None:
        return _has_passing_state(origin)
    # A refused connection has no state: only a server that answers can have meant it.
    return getattr(problem, "connection_invalidated", False) or not _answers(address)


def _has_passing_state(origin: object) -> bool:
    state = getattr(origin, "sqlstate", None)
    return isinstance(state, str) and state.startswith(PASSING)


def _answers(address: URL) -> bool:
    _, asked = sa.dialects.registry.load("postgresql.psycopg")().create_connect_args(address)
    return PGconn.ping(make_conninfo(**_patience(address) | asked).encode()) == Ping.OK


def _patience(address: URL) -> dict[str, Any]:
    """How long PostgreSQL may keep a thread waiting, where the address does not say."""
    return {name: value for name, value in POSTGRESQL_OPTIONS.items() if name not in address.query}


def _prepare_postgresql(connection: Any, _record: object) -> None:
    """Sets by statement what a pooler would not let a new connection ask for."""
    connection.autocommit = True  # a setting made in a transaction goes with its rollback
    for statement in POSTGRESQL:
        connection.execute(statement)
    connection.autocommit = False


def _prepare_sqlite(connection: Any, _record: object) -> None:
    """The file keeps its journal mode: a change to WAL waits for nobody who opens it as well."""
    connection.isolation_level = None  # BEGIN is ours to say
    connection.execute("PRAGMA synchronous = FULL")


def _begin_immediately(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
