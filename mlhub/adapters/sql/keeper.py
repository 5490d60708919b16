"""The ledger's keeper: decides and commits many changes at once; synchronous, for one thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from mlhub.adapters.sql import reading
from mlhub.adapters.sql.database import Database, Refused, once_more
from mlhub.adapters.sql.ownership import begin_epoch, fenced, lock_of, sign_commit
from mlhub.adapters.sql.schema import upgrade
from mlhub.adapters.sql.tables import owner
from mlhub.adapters.sql.writing import Writes
from mlhub.broker.ports import Clock, Decide
from mlhub.core.errors import BrokenInvariant, LedgerUnavailable, MlhubError, NotOwner
from mlhub.core.ledger import Anchor, Ledger


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one asker gets: a value, or an error."""

    value: Any = None
    error: Exception | None = None


class Keeper:
    """Owns a database and knows the ledger that is in it.

    Attributes:
        ledger: as of the last commit; None when it has to be read anew, as after every error, for
            then nobody can say whether the last commit happened.
    """

    def __init__(self, url: str, clock: Clock) -> None:
        self.ledger: Ledger | None = None
        self._clock = clock
        self._database = Database(url)
        self._lock = lock_of(self._database)
        self._name = ""
        self._epoch = 0
        self._beginning = select(owner.c.epoch, owner.c.revision, self._database.now.label("now"))

    def own(self, name: str) -> None:
        """Become the owner, bring the schema up to date, and read the ledger.

        Raises:
            NotOwner: another process is.
            SchemaMismatch: a newer mlhub wrote it.
            LedgerUnavailable: it cannot be reached.
        """
        try:
            self._take_lock(name)
            with self._database.transaction() as connection:
                upgrade(connection)
                self._epoch = begin_epoch(connection, name, self._now(connection))
                self.ledger = reading.load(connection)
            self._name = name
        except BaseException:
            self.close()
            raise

    def commit(self, decisions: Sequence[Decide[Any]]) -> list[Outcome]:
        """Decide one after the other and commit all in one transaction; an outcome for each."""
        try:
            return once_more(lambda: self._attempt(decisions))
        except Refused as error:
            if len(decisions) > 1:
                return [self.commit([decide])[0] for decide in decisions]
            return [Outcome(error=BrokenInvariant(f"The ledger refused a change: {error}"))]
        except MlhubError as error:
            return [Outcome(error=error)] * len(decisions)

    def current(self) -> Ledger:
        """The ledger as of the last commit, read anew where that has to be.

        Raises:
            NotOwner: another process has become the owner.
            LedgerUnavailable: the database is away.
        """
        if self.ledger is None:
            once_more(lambda: self._attempt(()))
        return self.ledger or Ledger()

    def close(self) -> None:
        """Give up ownership."""
        self._database.close()
        self._lock.release()
        self.ledger, self._name = None, ""

    def _attempt(self, decisions: Sequence[Decide[Any]]) -> list[Outcome]:
        try:
            self._keep_lock()
            with self._database.transaction() as connection:
                outcomes, after = self._decide(connection, decisions)
        except BaseException:
            self.ledger = None
            raise
        self.ledger = after
        return outcomes

    def _decide(
        self, connection: Connection, decisions: Sequence[Decide[Any]]
    ) -> tuple[list[Outcome], Ledger]:
        before, anchor = self._begin(connection)
        outcomes, after, writes = _decide_all(decisions, before, anchor)
        if writes:
            after = replace(after, anchor=writes.anchor or anchor, revision=before.revision + 1)
            sign_commit(connection, self._epoch, after)
            writes.flush(connection, before.leases)
        return outcomes, after

    def _begin(self, connection: Connection) -> tuple[Ledger, Anchor]:
        """The ledger that this transaction decides on, if it is still ours, and its time.

        Both are one question, for each is a way to a database that may be far.
        """
        row = connection.execute(self._beginning).one()
        if row.epoch != self._epoch:
            raise fenced()
        anchor = self._anchor(row.now)  # both clocks at once, before what may take long
        if self.ledger is None or self.ledger.revision != row.revision:
            return reading.load(connection), anchor
        return self.ledger, anchor

    def _anchor(self, wall: datetime) -> Anchor:
        """That time of the database, or the simulated one, with the monotonic clock's."""
        if self._clock.simulated:
            wall = self._clock.now()
        return Anchor(wall, self._clock.monotonic(), self._clock.boot())

    def _now(self, connection: Connection) -> datetime:
        return self._anchor(connection.execute(select(self._database.now)).scalar_one()).wall

    def _take_lock(self, name: str) -> None:
        if not self._lock.take(name):
            holder = self._lock.holder() or "another process"
            raise NotOwner(
                f"{self._database.label} is owned by {holder}. "
                "Stop that first, or wait until it has ended."
            )

    def _keep_lock(self) -> None:
        """A new connection has to get the lock that went with the former one."""
        if not self._name:
            raise LedgerUnavailable("The ledger is not open.")
        if self._lock.take(self._name):
            return
        with self._database.transaction() as connection:
            if connection.scalar(select(owner.c.epoch)) != self._epoch:
                raise fenced()
        raise LedgerUnavailable(
            f"{self._database.label} is still locked by a connection that was lost; ask again."
        )


def _decide_all(
    decisions: Sequence[Decide[Any]], ledger: Ledger, anchor: Anchor
) -> tuple[list[Outcome], Ledger, Writes]:
    outcomes, writes = [], Writes()
    for decide in decisions:
        try:
            value, changes = decide(ledger, anchor)
            if changes:
                after = ledger.apply(changes)
                writes.add(changes)
                ledger = after
            outcomes.append(Outcome(value))
        except Exception as error:  # noqa: BLE001 - it is raised where the decision came from
            outcomes.append(Outcome(error=error))
    return outcomes, ledger, writes
