"""Reading the ledger's value back, and pages of what is over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Table, select, true

from mlhub.adapters.sql import tables
from mlhub.adapters.sql.rows import Read, audit_of, claim_of, lease_of, usage_of
from mlhub.broker.ports import Page
from mlhub.core.claims import Claim
from mlhub.core.leases import Lease
from mlhub.core.ledger import PAST_KEPT, Anchor, AuditRecord, Changes, Ledger, UsageEntry

T = TypeVar("T")
Numbered = list[tuple[int, T]]

LEASES: Final = tables.leases.c
ENDED: Final = LEASES.ended_number.is_not(None)


def load(connection: Connection) -> Ledger:
    """The ledger as it was committed last: what is live or remembered, and no more."""
    rows = Changes(claims=_claims(connection), leases=_live_leases(connection))
    owner = connection.execute(select(tables.owner)).one()
    wall = owner.anchor_wall
    anchor = wall and Anchor(wall, owner.anchor_monotonic, owner.anchor_boot)
    ledger = Ledger(past=_past(connection)).apply(rows)
    return replace(ledger, anchor=anchor, revision=owner.revision)


def _claims(connection: Connection) -> tuple[Claim, ...]:
    table = tables.claims
    statement = select(table).where(table.c.remembered == true()).order_by(table.c.submitted_at)
    return tuple(claim_of(row) for row in connection.execute(statement).mappings())


def _live_leases(connection: Connection) -> tuple[Lease, ...]:
    live = LEASES.ended_number.is_(None)
    statement = select(tables.leases).where(live).order_by(LEASES.granted_at)
    return tuple(lease_of(row) for row in connection.execute(statement).mappings())


def _past(connection: Connection) -> dict[str, tuple[float, ...]]:
    flavors = connection.scalars(select(LEASES.flavor).where(ENDED).distinct()).all()
    past = {flavor: _durations(connection, flavor) for flavor in flavors}
    return {flavor: held for flavor, held in past.items() if held}


def _durations(connection: Connection, flavor: str) -> tuple[float, ...]:
    """How long the last leases of a flavor were held, in seconds, oldest first."""
    statement = (
        select(LEASES.started_at, LEASES.ended_at)
        .where(LEASES.flavor == flavor, ENDED, LEASES.started_at.is_not(None))
        .order_by(LEASES.ended_number.desc())
        .limit(PAST_KEPT)
    )
    rows = connection.execute(statement).all()
    return tuple((row.ended_at - row.started_at).total_seconds() for row in reversed(rows))


def ended_leases(connection: Connection, user: str | None, page: Page) -> Numbered[Lease]:
    """Ended leases, the last one first."""
    return _page(connection, tables.leases, user, page, lease_of)


def ended_lease(connection: Connection, lease_id: str) -> Lease | None:
    """The ended lease with that id, which may come from anybody."""
    if not (lease_id.isascii() and lease_id.isprintable()):
        return None  # not every database takes such a text even in a question
    statement = select(tables.leases).where(LEASES.id == lease_id, ENDED)
    row = connection.execute(statement).mappings().first()
    return lease_of(row) if row else None


def usage(connection: Connection, user: str | None, page: Page) -> Numbered[UsageEntry]:
    """Usage entries, the last one first."""
    return _page(connection, tables.usage, user, page, usage_of)


def audit(connection: Connection, user: str | None, page: Page) -> Numbered[AuditRecord]:
    """Audit records, the last one first."""
    return _page(connection, tables.audit, user, page, audit_of)


def _page(
    connection: Connection,
    table: Table,
    user: str | None,
    page: Page,
    decode: Callable[[Read], T],
) -> Numbered[T]:
    number = table.c.ended_number if table is tables.leases else table.c.number
    conditions: list[Any] = [number.is_not(None)]
    if user is not None:
        conditions.append(table.c.user_name == user)
    if page.before is not None:
        conditions.append(number < page.before)
    statement = select(table).where(*conditions).order_by(number.desc()).limit(page.limit)
    rows = connection.execute(statement).mappings()
    return [(row[number.name], decode(row)) for row in rows]
