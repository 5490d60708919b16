"""One connection to SQLite or PostgreSQL, its transactions, and its errors in plain words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import (
    Connection,
    Engine,
    NullPool,
    SQLColumnExpression,
    create_engine,
    event,
    func,
    type_coerce,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, SQLAlchemyError

from mlhub.adapters.sql.tables import UtcTime
from mlhub.core.errors import BadInput, LedgerUnavailable

R = TypeVar("R")
BUSY: Final = 5.0  # seconds that a statement waits for another process to let go
SQLITE: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
)
POSTGRESQL: Final = (
    "SET TIME ZONE 'UTC'",
    "SET synchronous_commit = on",
    f"SET lock_timeout = '{BUSY:.0f}s'",
    "SET statement_timeout = '20s'",
    # A frozen owner lets go of its rows, a vanished one of its lock.
    "SET idle_in_transaction_session_timeout = '60s'",
    "SET tcp_keepalives_idle = 10",
    "SET tcp_keepalives_interval = 5",
    "SET tcp_keepalives_count = 3",
)
POSTGRESQL_OPTIONS: Final[dict[str, Any]] = {
    "application_name": "mlhub",
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
REMEDY: Final = "write sqlite:////path/to/ledger.sqlite or postgresql+psycopg://user@host/database"


class ConnectionLost(LedgerUnavailable):
    """The connection broke before anything could be committed: a new one may do."""


class Refused(LedgerUnavailable):
    """The database does not take these rows; each change has to be tried by itself."""


class Database:
    """At most one connection, for one thread; a new one when it is lost.

    Attributes:
        file: SQLite's; None for PostgreSQL.
        label: what people know it by, without any secret.
        now: its time, as a column: milliseconds in SQLite, microseconds in PostgreSQL.
    """

    def __init__(self, url: str) -> None:
        """Nothing is connected yet.

        Raises:
            BadInput: the URL names no database that a ledger can be kept in.
        """
        checked = _checked(url)
        self._password = str(checked.password or "")
        self._engine = _engine(checked)
        self._connection: Connection | None = None
        self._connections = 0
        self.file: Path | None = None
        self.now: SQLColumnExpression[datetime] = func.clock_timestamp(type_=UtcTime)
        self.label = f"The ledger in PostgreSQL ({checked.host or 'local'}/{checked.database})"
        if checked.get_backend_name() == "sqlite":
            self.file = Path(str(checked.database)).absolute()
            stamp = func.strftime("%Y-%m-%d %H:%M:%f", "now").op("||")("000")
            self.now = type_coerce(stamp, UtcTime())
            self.label = f"The ledger {self.file}"

    @contextmanager
    def transaction(self, *, writes: bool = True) -> Iterator[Connection]:
        """A transaction: committed at the end, rolled back by any error.

        Args:
            writes: whether it is to write, so that it waits its turn.

        Raises:
            ConnectionLost: nothing was committed, and the connection is gone.
            LedgerUnavailable: any other trouble; a commit that had begun may have happened.
            Refused: a constraint or a type does not take the rows.
        """
        committing = False
        try:
            connection = self._begin(writes=writes)
            yield connection
            committing = True
            connection.commit()
        except (IntegrityError, DataError) as error:
            self._roll_back()
            raise Refused(self._told(error)) from error
        except SQLAlchemyError as error:
            lost = isinstance(error, DBAPIError) and error.connection_invalidated
            self._roll_back(lost=lost)
            kind = ConnectionLost if lost and not committing else LedgerUnavailable
            raise kind(f"{self.label} cannot be used: {self._told(error)}") from error
        except BaseException:
            self._roll_back()
            raise

    @property
    def connected(self) -> int:
        """Which connection there is, counted from 1; 0 when there is none."""
        return 0 if self._connection is None else self._connections

    def close(self) -> None:
        """Let go of everything."""
        self._drop()
        self._engine.dispose()

    def _begin(self, *, writes: bool) -> Connection:
        if self._connection is None:
            if self.file is not None:
                _make_private(self.file)
            self._connection = self._engine.connect()
            self._connections += 1
        if self.file is not None:
            # At once, for a transaction that reads first could find later that it may not write.
            self._connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
        return self._connection

    def _roll_back(self, *, lost: bool = False) -> None:
        """Undo what was not committed; a connection that cannot do that is let go."""
        if lost or self._connection is None:
            self._drop()
            return
        try:
            self._connection.rollback()
        except SQLAlchemyError:
            self._drop()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(SQLAlchemyError):
                connection.close()

    def _told(self, error: SQLAlchemyError) -> str:
        words = " ".join(str(getattr(error, "orig", None) or error).split())
        return (words.replace(self._password, "***") if self._password else words)[:300]


def once_more(work: Callable[[], R]) -> R:
    """What it gives, from a second try where the connection broke before any commit."""
    try:
        return work()
    except ConnectionLost:
        return work()


def _checked(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise BadInput("ledger.url", "this is no URL of a database", REMEDY) from None
    backend = parsed.get_backend_name()
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        raise BadInput("ledger.url", f"the ledger cannot be kept in {backend[:40]!r}", REMEDY)
    if parsed.query or parsed.database in (None, "", ":memory:"):
        raise BadInput("ledger.url", "SQLite needs the path of a file, and no more", REMEDY)
    return parsed


def _engine(url: URL) -> Engine:
    options: dict[str, Any] = {"timeout": BUSY}
    prepare = _prepare_sqlite
    if url.get_backend_name() != "sqlite":
        options = {name: v for name, v in POSTGRESQL_OPTIONS.items() if name not in url.query}
        prepare = _prepare_postgresql
    engine = create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args=options)
    event.listen(engine, "connect", prepare)
    return engine


def _prepare_sqlite(connection: DBAPIConnection, _: object) -> None:
    connection.isolation_level = None  # the driver begins no transaction of its own
    _run(connection, SQLITE)


def _prepare_postgresql(connection: DBAPIConnection, _: object) -> None:
    connection.autocommit = True  # a setting made in a transaction goes with its rollback
    _run(connection, POSTGRESQL)
    connection.autocommit = False


def _run(connection: DBAPIConnection, statements: tuple[str, ...]) -> None:
    cursor = connection.cursor()
    for statement in statements:
        cursor.execute(statement)
    cursor.close()


def _make_private(file: Path) -> None:
    """Make a new database file that its owner alone can read; its side files follow it."""
    with suppress(OSError):  # it is there, or connecting says why it cannot be
        file.touch(mode=0o600, exist_ok=False)
