"""The durable table of who has which user name: one small table in SQLite or PostgreSQL."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, make_url

from mlhub.adapters.sql.schema import History, upgrade
from mlhub.authenticator.bindings import Binding, Clash, Ground, Identity, decide

# The tables' history is their own: the ledger may be in another database, or in the same one.
HISTORY = History(
    "table of identities", "mlhub_identities_revision", Path(__file__).parent / "revisions"
)
ONE_WRITER = 0x6D6C_6875_6261_7574  # PostgreSQL's advisory lock of this table: "mlhubaut"
BUSY_SECONDS = 10

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

    Args:
        url: SQLAlchemy's address of the database, `sqlite:///...` or `postgresql+psycopg://...`.

    Raises:
        SchemaMismatch: a newer version of mlhub wrote the table.
        IdentitiesUnavailable: the database cannot be reached.
    """

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)
        try:
            self._run(lambda connection: upgrade(connection, history=HISTORY))
        except BaseException:
            self.close()
            raise

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
        with _translated(), self._engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(ONE_WRITER)))
            return step(connection)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError) as error:
        raise IdentitiesUnavailable(str(error).splitlines()[0]) from error


def _engine(url: str) -> Engine:
    address = make_url(url)
    if address.get_backend_name() != "sqlite":
        return sa.create_engine(address, pool_pre_ping=True)
    if address.database and address.database != ":memory:":
        _private_file(Path(address.database))
    engine = sa.create_engine(address, connect_args={"timeout": BUSY_SECONDS})
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_immediately)
    return engine


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
