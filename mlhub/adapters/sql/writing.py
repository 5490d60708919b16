"""What one transaction writes: collected from its decisions, one row for each claim and lease."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache
from itertools import count
from typing import Any

from sqlalchemy import Connection, Table, and_, delete, func, insert, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import Insert

from mlhub.adapters.sql import tables
from mlhub.adapters.sql.rows import Row, audit_row, claim_row, lease_row, usage_row
from mlhub.core.claims import ClaimState
from mlhub.core.leases import Lease
from mlhub.core.ledger import Anchor, Changes


class Writes:
    """The rows of some changes; later ones of the same claim or lease replace earlier ones.

    Attributes:
        anchor: the last one that a decision gave, or None.
    """

    def __init__(self) -> None:
        self.anchor: Anchor | None = None
        self._claims: dict[str, Row] = {}
        self._leases: dict[str, tuple[Lease, Row]] = {}
        self._usage: list[Row] = []
        self._audit: list[Row] = []
        self._forget: tuple[datetime, datetime] | None = None
        self._any = False

    def __bool__(self) -> bool:
        return self._any

    def add(self, changes: Changes) -> None:
        """Collect the changes of one decision, whole or not at all.

        Raises:
            BadInput: a text of them cannot be kept.
        """
        claims = {claim.id: claim_row(claim) for claim in changes.claims}
        leases = {lease.id: (lease, lease_row(lease)) for lease in changes.leases}
        usage = [usage_row(entry) for entry in changes.usage]
        audit = [audit_row(record) for record in changes.audit]
        self._claims.update(claims)
        self._leases.update(leases)
        self._usage += usage
        self._audit += audit
        if changes.forget:
            self._forget = (changes.forget, changes.forget_denied or changes.forget)
        self.anchor = changes.anchor or self.anchor
        self._any = True

    def flush(self, connection: Connection, live: Mapping[str, Lease]) -> None:
        """Write them all; `live` are the leases that were live before."""
        leases = [lease for lease, _ in self._leases.values()]
        # What ended goes first: its devices may pass to the next in the same transaction.
        _free(connection, [row.id for row in leases if not row.live and row.id in live])
        self._write_leases(connection)
        if self._forget:
            _forget(connection, *self._forget)
        _write(connection, _upsert(tables.claims, connection.dialect.name), self._claims.values())
        granted = [row for row in leases if row.live and row.id not in live]
        _write(connection, insert(tables.lease_devices), _slots(connection, granted))
        _write(connection, insert(tables.usage), self._usage)
        _write(connection, insert(tables.audit), self._audit)

    def _write_leases(self, connection: Connection) -> None:
        rows = [row | {"ended_number": None} for _, row in self._leases.values()]
        ended = [row for row in rows if row["status"] == "ended"]
        last = connection.scalar(select(func.max(tables.leases.c.ended_number))) if ended else 0
        for number, row in enumerate(ended, start=(last or 0) + 1):
            row["ended_number"] = number
        _write(connection, _upsert(tables.leases, connection.dialect.name), rows)


@cache
def _upsert(table: Table, dialect: str) -> Insert:
    """A new row, or the new state of one; an ended lease keeps the number it has."""
    made = sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)
    values: dict[str, Any] = {
        column.name: made.excluded[column.name] for column in table.c if not column.primary_key
    }
    if "ended_number" in values:
        values["ended_number"] = func.coalesce(table.c.ended_number, values["ended_number"])
    return made.on_conflict_do_update(index_elements=[table.c.id], set_=values)


def _write(connection: Connection, statement: Insert, rows: Iterable[Row]) -> None:
    if every := list(rows):
        connection.execute(statement, every)


def _free(connection: Connection, lease_ids: list[str]) -> None:
    table = tables.lease_devices
    if lease_ids:
        connection.execute(delete(table).where(table.c.lease_id.in_(lease_ids)))


def _forget(connection: Connection, before: datetime, denied: datetime) -> None:
    """Drop claims that were decided long ago and hold nothing; what they were given stays."""
    claims, leases = tables.claims, tables.leases
    live = leases.c.ended_number.is_(None)
    refused = and_(claims.c.state == str(ClaimState.DENIED), claims.c.decided_at < denied)
    connection.execute(
        delete(claims).where(
            claims.c.state != str(ClaimState.QUEUED),
            or_(claims.c.decided_at < before, refused),
            claims.c.id.not_in(select(leases.c.claim_id).where(live)),
            claims.c.lease_id.not_in(select(leases.c.id).where(live)),
        )
    )


def _slots(connection: Connection, granted: list[Lease]) -> list[Row]:
    """The lowest free share of each device; the table refuses one that the device has not.

    One that is not shared has a single share, so that nobody need be asked which.
    """
    table = tables.lease_devices
    capacities = (pair for lease in granted for pair in lease.placement.capacities)
    shared = {device for device, shares in capacities if shares > 1}
    found = connection.execute(select(table).where(table.c.device.in_(shared))) if shared else ()
    taken = {(row.device, row.slot) for row in found}
    rows: list[Row] = []
    for lease in granted:
        for device, shares in lease.placement.capacities:
            slot = next(number for number in count() if (device, number) not in taken)
            taken.add((device, slot))
            rows.append({"device": device, "slot": slot, "shares": shares, "lease_id": lease.id})
    return rows
