"""The ledger's tables: owner, claims, leases and their devices, usage entries, audit records."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
TIME = sa.DateTime(timezone=True)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _time(name: str, *, nullable: bool = True) -> sa.Column[object]:
    return sa.Column(name, TIME, nullable=nullable)


def upgrade() -> None:
    """Make them."""
    _owner()
    _claims()
    _leases()
    _lease_devices()
    _usage()
    _audit()


def _owner() -> None:
    table = op.create_table(
        "ledger_owner",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        _text("name"),
        _time("since"),
        sa.Column("revision", sa.BigInteger, nullable=False),
        _time("anchor_wall"),
        sa.Column("anchor_monotonic", sa.Double),
        sa.Column("anchor_boot", sa.Text),
        sa.CheckConstraint("id = 1", name="only_one"),
    )
    op.bulk_insert(table, [{"id": 1, "epoch": 0, "name": "", "revision": 0}])


def _claims() -> None:
    op.create_table(
        "claims",
        sa.Column("id", sa.Text, primary_key=True),
        _text("user_name"),
        _text("key"),
        sa.Column("remembered", sa.Boolean, nullable=False),
        _text("flavor"),
        _text("ask"),
        sa.Column("priority", sa.BigInteger, nullable=False),
        _time("submitted_at", nullable=False),
        _text("state"),
        _time("decided_at"),
        _text("lease_id"),
        _text("why"),
        _text("told"),
        _text("blocked"),
    )
    op.create_index(
        "claims_by_key",
        "claims",
        ["user_name", "key"],
        unique=True,
        sqlite_where=sa.text("remembered = 1"),
        postgresql_where=sa.text("remembered"),
    )


def _leases() -> None:
    op.create_table(
        "leases",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("ended_number", sa.BigInteger, unique=True),
        sa.Column("claim_id", sa.Text, nullable=False, unique=True),
        _text("user_name"),
        _text("flavor"),
        _text("ask"),
        _text("node"),
        _text("devices"),
        _text("shares"),
        sa.Column("memory", sa.BigInteger, nullable=False),
        _text("status"),
        _text("target"),
        sa.Column("from_queue", sa.Boolean, nullable=False),
        sa.Column("starts", sa.Integer, nullable=False),
        _time("granted_at", nullable=False),
        _time("start_by", nullable=False),
        _time("ends_at", nullable=False),
        _time("start_asked_at"),
        _time("stop_asked_at"),
        _text("holder"),
        _time("started_at"),
        _time("used_at"),
        _time("warned_at"),
        _time("seen_at"),
        _time("billed_until"),
        _time("ended_at"),
        sa.Column("reason", sa.Text),
        _text("why"),
        _text("ended_by"),
        sa.CheckConstraint(
            "(status = 'ended') = (ended_number IS NOT NULL)", name="ended_has_number"
        ),
    )
    op.create_index("leases_by_user", "leases", ["user_name", "ended_number"])
    op.create_index("leases_by_flavor", "leases", ["flavor", "ended_number"])
    live = sa.text("ended_number IS NULL")
    op.create_index("leases_live", "leases", ["status"], sqlite_where=live, postgresql_where=live)


def _lease_devices() -> None:
    op.create_table(
        "lease_devices",
        sa.Column("device", sa.Text, primary_key=True),
        sa.Column("slot", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("shares", sa.Integer, nullable=False),
        sa.Column("lease_id", sa.Text, sa.ForeignKey("leases.id"), nullable=False),
        sa.CheckConstraint("slot >= 0 AND slot < shares", name="slot_fits"),
        sa.UniqueConstraint("lease_id", "device", name="lease_has_device_once"),
    )


def _usage() -> None:
    op.create_table(
        "usage_entries",
        sa.Column("number", NUMBER, primary_key=True, autoincrement=True),
        sa.Column("lease_id", sa.Text, sa.ForeignKey("leases.id"), nullable=False),
        _text("user_name"),
        _text("server"),
        _text("groups"),
        _text("flavor"),
        _text("devices"),
        _time("start_at", nullable=False),
        _time("end_at", nullable=False),
        _text("price"),
        sa.CheckConstraint("end_at > start_at", name="ends_after_start"),
        sqlite_autoincrement=True,
    )
    op.create_index("usage_by_user", "usage_entries", ["user_name", "number"])
    op.create_index("usage_by_lease", "usage_entries", ["lease_id"])


def _audit() -> None:
    op.create_table(
        "audit_records",
        sa.Column("number", NUMBER, primary_key=True, autoincrement=True),
        _time("at", nullable=False),
        _text("actor"),
        _text("action"),
        _text("subject"),
        _text("user_name"),
        _text("detail"),
        sqlite_autoincrement=True,
    )
    op.create_index("audit_by_user", "audit_records", ["user_name", "number"])
