"""The durable table of who has which user name: one small table in SQLite or PostgreSQL."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url

from mlhub.adapters.sql.schema import History, upgrade
from mlhub.authenticator.bindings import Binding, Clash, Ground, Identity, decide
from mlhub.core.errors import BadInput, SchemaMismatch

# The tables' history is their own: the ledger may be in another database, or in the same one.
HISTORY = History(
    "table of identities", "mlhub_identities_revision", Path(__file__).parent / "revisions"
)
ONE_WRITER = 0x6D6C_6875_6261_7574  # PostgreSQL's advisory lock of this table: "mlhubaut"
BUSY_SECONDS = 10
CONNECT_SECONDS = 5
SETTING: Final = "authentication.identity_database"
REMEDY: Final = "write sqlite:////path/to/file.sqlite or postgresql+psycopg://user@host/database"

metadata = sa.MetaData()
_bindings = sa.Table(
    "mlhub_identities",
    metadata,
    sa.Column("namespace", sa.String(255), primary_key=True),
    sa.Column("subject", sa.String(255), primary_key=True),
    sa.Column("user_name", sa.String(32), nullable=False, index=True),
    sa.Column("uid", sa.BigInteger),
    sa.Column("bound_at", sa.DateTime(timezone=True), server_default=sa.func.now()),
)

Result = TypeVar("Result")


class IdentitiesUnavailable(Exception):
    """The table cannot be read or written now; nothing was changed."""


class IdentityBook:
    """Binds identities to user names; every method is one transaction and blocks its thread.

    Nothing is connected before the first of them, which brings the table to its newest form.

    Args:
        url: SQLAlchemy's address of the database, `sqlite:///...` or `postgresql+psycopg://...`.

    Raises:
        BadInput: it is no such address.
        IdentitiesUnavailable: by every method, while the database cannot be reached or used.
    """

    def __init__(self, url: str) -> None:
        self._address = _checked(url)
        self._engine = _engine(self._address)
        self._is_newest = False

    def open(self) -> None:
        """Makes the table, or brings it to its newest form."""
        self._run(lambda _connection: None)

    def close(self) -> None:
        """Closes the connections."""
        self._engine.dispose()

    def of(self, identity: Identity) -> Binding | None:
        """Finds what an identity is bound to."""
        return self._run(lambda connection: _of(connection, identity))

    def of_user(self, user: str) -> list[Binding]:
        """Lists the identities that share a user name."""
        return self._run(lambda connection: _of_user(connection, user))

    def all(self) -> list[Binding]:
        """Lists every binding, by user name."""
        order = (_bindings.c.user_name, _bindings.c.namespace, _bindings.c.subject)
        query = sa.select(_bindings).order_by(*order)
        return self._run(lambda connection: [_binding(row) for row in connection.execute(query)])

    def bind(
        self,
        identity: Identity,
        user: str,
        *,
        ground: Ground = Ground.FIRST_SIGHT,
        allies: frozenset[str] = frozenset(),
    ) -> Binding | Clash:
        """Binds an identity to a user name, or says whose the name is; a repeat changes nothing."""

        def step(connection: Connection) -> Binding | Clash:
            own = _of(connection, identity)
            known = ([own] if own else []) + _of_user(connection, user)
            decided = decide(identity, user, ground=ground, bindings=known, allies=allies)
            if isinstance(decided, Binding) and decided != own:
                _write(connection, decided)
            return decided

        return self._run(step)

    def record_uid(self, user: str, uid: int) -> None:
        """Notes the number of the OS account that a user name has."""
        change = _bindings.update().where(_bindings.c.user_name == user).values(uid=uid)
        self._run(lambda connection: connection.execute(change))

    def release(self, user: str) -> int:
        """Frees a user name, so that the next who asks for it gets it.

        Returns:
            How many identities had it.
        """
        change = _bindings.delete().where(_bindings.c.user_name == user)
        return self._run(lambda connection: connection.execute(change).rowcount)

    def _run(self, step: Callable[[Connection], Result]) -> Result:
        with _translated():
            if not self._is_newest and (file := _file_of(self._address)):
                _private_file(file)
            with self._engine.begin() as connection:
                if connection.dialect.name == "postgresql":
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(ONE_WRITER)))
                if not self._is_newest:  # nobody else writes now, so nobody else upgrades either
                    upgrade(connection, history=HISTORY)
                result = step(connection)
            self._is_newest = True
            return result


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (sa.exc.DBAPIError, sa.exc.TimeoutError, SchemaMismatch, OSError) as error:
        raise IdentitiesUnavailable(str(error).partition("\n")[0]) from error


def _checked(url: str) -> URL:
    try:
        address = make_url(url)
    except (sa.exc.ArgumentError, ValueError):  # its text may hold a password
        raise BadInput(SETTING, "this is no URL of a database", REMEDY) from None
    backend = address.get_backend_name()
    if backend not in ("sqlite", "postgresql"):
        raise BadInput(SETTING, f"identities cannot be kept in {backend[:40]!r}", REMEDY)
    return address if backend == "sqlite" else address.set(drivername="postgresql+psycopg")


def _engine(address: URL) -> Engine:
    if address.get_backend_name() != "sqlite":
        return sa.create_engine(
            address, pool_pre_ping=True, hide_parameters=True, connect_args=_patience(address)
        )
    engine = sa.create_engine(address, connect_args={"timeout": BUSY_SECONDS})
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_immediately)
    return engine


def _patience(address: URL) -> dict[str, Any]:
    """How long PostgreSQL may keep a thread waiting, where the address does not say."""
    options = {"connect_timeout": CONNECT_SECONDS, "options": f"-c lock_timeout={BUSY_SECONDS}s"}
    return {name: value for name, value in options.items() if name not in address.query}


def _file_of(address: URL) -> Path | None:
    named = address.get_backend_name() == "sqlite" and address.database not in (None, ":memory:")
    return Path(str(address.database)) if named else None


def _private_file(path: Path) -> None:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def _prepare_sqlite(connection: object, _record: object) -> None:
    """The file keeps its journal mode: a change to WAL waits for nobody who opens it as well."""
    connection.isolation_level = None  # type: ignore[attr-defined]  # BEGIN is ours to say
    connection.execute("PRAGMA synchronous = FULL")  # type: ignore[attr-defined]


def _begin_immediately(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _of(connection: Connection, identity: Identity) -> Binding | None:
    query = sa.select(_bindings).where(
        _bindings.c.namespace == identity.namespace, _bindings.c.subject == identity.subject
    )
    row = connection.execute(query).first()
    return _binding(row) if row else None


def _of_user(connection: Connection, user: str) -> list[Binding]:
    query = sa.select(_bindings).where(_bindings.c.user_name == user)
    return [_binding(row) for row in connection.execute(query)]


def _binding(row: sa.Row[tuple[str, str, str, int | None]]) -> Binding:
    return Binding(Identity(row.namespace, row.subject), row.user_name, row.uid)


def _write(connection: Connection, binding: Binding) -> None:
    who = binding.identity
    connection.execute(
        _bindings.delete().where(
            _bindings.c.namespace == who.namespace, _bindings.c.subject == who.subject
        )
    )
    connection.execute(
        _bindings.insert().values(
            namespace=who.namespace, subject=who.subject, user_name=binding.user, uid=binding.uid
        )
    )
