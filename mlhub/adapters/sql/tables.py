"""The tables of the newest schema, for queries; the migrations are what makes them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)


class UtcTime(TypeDecorator[datetime]):
    """An aware time, kept as UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """UTC, without its zone where the database knows none."""
        if value is None:
            return None
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Aware, whatever the database knows."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _number() -> Column[int]:
    return Column(
        "number",
        BigInteger().with_variant(Integer, "sqlite"),
        primary_key=True,
        autoincrement=True,
    )


metadata: Final = MetaData()

# One row: who may write, and what the last commit was.
owner = Table(
    "ledger_owner",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="only_one"), primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("since", UtcTime),
    Column("revision", BigInteger, nullable=False),
    Column("anchor_wall", UtcTime),
    Column("anchor_monotonic", Double),
    Column("anchor_boot", Text),
)

claims = Table(
    "claims",
    metadata,
    Column("id", Text, primary_key=True),
    Column("user_name", Text, nullable=False),
    Column("key", Text, nullable=False),
    # False in old ledgers: the key may be used again. Such rows are dropped now.
    Column("remembered", Boolean, nullable=False),
    Column("flavor", Text, nullable=False),
    Column("ask", Text, nullable=False),
    Column("priority", BigInteger, nullable=False),
    Column("submitted_at", UtcTime, nullable=False),
    Column("state", Text, nullable=False),
    Column("decided_at", UtcTime),
    Column("lease_id", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("told", Text, nullable=False),
    Column("blocked", Text, nullable=False),
    Index(
        "claims_by_key",
        "user_name",
        "key",
        unique=True,
        sqlite_where=text("remembered = 1"),
        postgresql_where=text("remembered"),
    ),
)

leases = Table(
    "leases",
    metadata,
    Column("id", Text, primary_key=True),
    # Counts the ended ones, in the order of their ends; null while the lease is live.
    Column("ended_number", BigInteger, unique=True),
    Column("claim_id", Text, nullable=False, unique=True),
    Column("user_name", Text, nullable=False),
    Column("flavor", Text, nullable=False),
    Column("ask", Text, nullable=False),
    Column("node", Text, nullable=False),
    Column("devices", Text, nullable=False),
    Column("shares", Text, nullable=False),
    Column("memory", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("from_queue", Boolean, nullable=False),
    Column("starts", Integer, nullable=False),
    Column("granted_at", UtcTime, nullable=False),
    Column("start_by", UtcTime, nullable=False),
    Column("ends_at", UtcTime, nullable=False),
    Column("start_asked_at", UtcTime),
    Column("stop_asked_at", UtcTime),
    Column("holder", Text, nullable=False),
    Column("started_at", UtcTime),
    Column("used_at", UtcTime),
    Column("warned_at", UtcTime),
    Column("seen_at", UtcTime),
    Column("billed_until", UtcTime),
    Column("ended_at", UtcTime),
    Column("reason", Text),
    Column("why", Text, nullable=False),
    Column("ended_by", Text, nullable=False),
    CheckConstraint("(status = 'ended') = (ended_number IS NOT NULL)", name="ended_has_number"),
    Index("leases_by_user", "user_name", "ended_number"),
    Index("leases_by_flavor", "flavor", "ended_number"),
    Index(
        "leases_live",
        "status",
        sqlite_where=text("ended_number IS NULL"),
        postgresql_where=text("ended_number IS NULL"),
    ),
)

# Which share of which device each live lease has: no device is given out more often than it fits.
lease_devices = Table(
    "lease_devices",
    metadata,
    Column("device", Text, primary_key=True),
    Column("slot", Integer, primary_key=True, autoincrement=False),
    Column("shares", Integer, nullable=False),
    Column("lease_id", Text, ForeignKey("leases.id"), nullable=False),
    CheckConstraint("slot >= 0 AND slot < shares", name="slot_fits"),
    UniqueConstraint("lease_id", "device", name="lease_has_device_once"),
)

usage = Table(
    "usage_entries",
    metadata,
    _number(),
    Column("lease_id", Text, ForeignKey("leases.id"), nullable=False),
    Column("user_name", Text, nullable=False),
    Column("server", Text, nullable=False),
    Column("groups", Text, nullable=False),
    Column("flavor", Text, nullable=False),
    Column("devices", Text, nullable=False),
    Column("start_at", UtcTime, nullable=False),
    Column("end_at", UtcTime, nullable=False),
    Column("price", Text, nullable=False),
    CheckConstraint("end_at > start_at", name="ends_after_start"),
    Index("usage_by_user", "user_name", "number"),
    Index("usage_by_lease", "lease_id"),
    sqlite_autoincrement=True,
)

audit = Table(
    "audit_records",
    metadata,
    _number(),
    Column("at", UtcTime, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("user_name", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Index("audit_by_user", "user_name", "number"),
    sqlite_autoincrement=True,
)
