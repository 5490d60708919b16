"""The durable table of who has which user name: one small table in SQLite or PostgreSQL."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mlhub.adapters.sql.schema import History, upgrade
from mlhub.authenticator.bindings import Binding, Clash, Ground, Identity, decide
from mlhub.authenticator.identity_database import (
    REMEDY,
    SETTING,
    checked_address,
    engine_of,
    is_passing,
    make_private,
)
from mlhub.core.errors import BadInput, SchemaMismatch

# The tables' history is their own: the ledger may be in another database, or in the same one.
HISTORY = History(
    "table of identities", "mlhub_identities_revision", Path(__file__).parent / "revisions"
)
ONE_WRITER = 0x6D6C_6875_6261_7574  # PostgreSQL's advisory lock of this table: "mlhubaut"
PATIENCE_SECONDS: Final = 10.0

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

Asked = ParamSpec("Asked")
Result = TypeVar("Result")


class IdentitiesUnavailable(Exception):
    """The table cannot be read or written now; nothing was changed.

    Attributes:
        passing: whether waiting may help.
    """

    def __init__(self, text: str, *, passing: bool = True) -> None:
        super().__init__(text)
        self.passing = passing


class IdentityBook:
    """Binds identities to user names; every method is one transaction and blocks its thread.

    An event loop lets the book's own thread do that, by `ask`: a database that does not answer
    then keeps nothing else waiting.

    Nothing is connected before the first of them, which brings the table to its newest form.

    Args:
        url: SQLAlchemy's address of the database, `sqlite:///...` or `postgresql+psycopg://...`.

    Raises:
        BadInput: it is no such address.
        IdentitiesUnavailable: by every method, while the database cannot be reached or used.
        SchemaMismatch: by every method but `ask`: a newer mlhub wrote the table.
    """

    def __init__(self, url: str) -> None:
        self._address = checked_address(url)
        self._engine = engine_of(self._address)
        self._thread = ThreadPoolExecutor(1, "identities")
        self._is_newest = False

    def open(self) -> None:
        """Makes the table, or brings it to its newest form."""
        self._run(lambda _connection: None)

    def open_at_start(self) -> None:
        """Opens the book before anybody comes; returns or raises within `PATIENCE_SECONDS`.

        Raises:
            BadInput: the identities cannot be kept there, and waiting does not help.
            SchemaMismatch: a newer mlhub wrote the table.
            IdentitiesUnavailable: the server is away, silent or busy; it may come back.
        """
        try:
            self._thread.submit(self.open).result(PATIENCE_SECONDS)
        except TimeoutError:
            raise IdentitiesUnavailable(_silence()) from None
        except IdentitiesUnavailable as problem:
            if problem.passing:
                raise
            text = f"the identities cannot be kept there: {problem}"
            raise BadInput(SETTING, text, f"mend that, or {REMEDY}") from problem

    async def ask(
        self, work: Callable[Asked, Result], *args: Asked.args, **options: Asked.kwargs
    ) -> Result:
        """Runs a method of this book in its thread, and waits `PATIENCE_SECONDS` at most.

        Raises:
            IdentitiesUnavailable: there is no answer, or it is of no use. What was asked for may
                happen yet; asking again is safe.
        """
        call = partial(work, *args, **options)
        running = asyncio.get_running_loop().run_in_executor(self._thread, call)
        try:
            return await asyncio.wait_for(running, PATIENCE_SECONDS)
        except TimeoutError:
            raise IdentitiesUnavailable(_silence()) from None
        except SchemaMismatch as problem:
            raise IdentitiesUnavailable(str(problem), passing=False) from problem

    def close(self) -> None:
        """Closes the connections; nothing can be asked any more."""
        self._thread.shutdown(wait=False, cancel_futures=True)
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
        with self._translated():
            if not self._is_newest:
                make_private(self._address)
            with self._engine.begin() as connection:
                if connection.dialect.name == "postgresql":
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(ONE_WRITER)))
                if not self._is_newest:  # nobody else writes now, so nobody else upgrades either
                    upgrade(connection, history=HISTORY)
                result = step(connection)
            self._is_newest = True
            return result

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sa.exc.DBAPIError, sa.exc.TimeoutError, OSError) as error:
            text = str(error).partition("\n")[0]
            # A book that was open has proved that it can be used.
            passing = self._is_newest or is_passing(error, self._address)
            raise IdentitiesUnavailable(text, passing=passing) from error


def _silence() -> str:
    return f"their database did not answer within {PATIENCE_SECONDS:.0f} seconds"


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
