"""Rows of the database from values of the ledger, and back: a round trip changes nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from mlhub.core.claims import Ask, Claim, ClaimState, HolderKind, Placement
from mlhub.core.errors import BadInput
from mlhub.core.leases import EndReason, Lease, LeaseStatus, Target
from mlhub.core.ledger import AuditRecord, UsageEntry

Row = dict[str, Any]
Read = Mapping[Any, Any]

NOT_TEXT: Final = re.compile("[\0\ud800-\udfff]")
# What a column and an attribute both call by the same name, and keep as it is.
_OF_CLAIM: Final = (
    "id", "key", "priority", "submitted_at", "decided_at", "lease_id", "why", "told", "blocked",
)  # fmt: skip
_OF_LEASE: Final = (
    "id", "claim_id", "from_queue", "starts", "holder", "granted_at", "start_by", "ends_at",
    "start_asked_at", "stop_asked_at", "started_at", "used_at", "warned_at", "seen_at",
    "billed_until", "ended_at", "why",
)  # fmt: skip
_OF_USAGE: Final = ("lease_id", "server", "flavor")
_OF_AUDIT: Final = ("at", "actor", "action", "subject", "detail")
_OF_ASK: Final = ("kind", "server", "count", "wait", "options", "groups")


def _picked(value: object, names: Iterable[str]) -> Row:
    return {name: getattr(value, name) for name in names}


def _same(row: Read, names: Iterable[str]) -> Row:
    return {name: row[name] for name in names}


def _plain(row: Row) -> Row:
    """The row, if every database can keep its texts.

    Raises:
        BadInput: one has a NUL or half a surrogate pair in it.
    """
    for name, value in row.items():
        if isinstance(value, str) and NOT_TEXT.search(value):
            problem = f"{value[:40]!r} has a character that is not text"
            raise BadInput(name, problem, "leave it out")
    return row


def _names(names: tuple[str, ...]) -> str:
    return json.dumps(names)


def _of_names(value: str) -> tuple[str, ...]:
    return tuple(json.loads(value))


def _asked(ask: Ask) -> Row:
    """User and flavor of an ask have columns of their own, the rest is one text."""
    rest = _picked(ask, _OF_ASK) | {"seconds": ask.duration.total_seconds()}
    return {"user_name": ask.user, "flavor": ask.flavor, "ask": json.dumps(rest)}


def _of_ask(row: Read) -> Ask:
    rest = json.loads(row["ask"])
    changed = {
        "duration": timedelta(seconds=rest["seconds"]),
        "kind": HolderKind(rest["kind"]),
        "groups": tuple(rest["groups"]),
    }
    return Ask(user=row["user_name"], flavor=row["flavor"], **_same(rest, _OF_ASK) | changed)


def claim_row(claim: Claim) -> Row:
    """The row of a claim."""
    more = {"remembered": True, "state": str(claim.state)}
    return _plain(_picked(claim, _OF_CLAIM) | _asked(claim.ask) | more)


def claim_of(row: Read) -> Claim:
    """The claim of a row."""
    return Claim(ask=_of_ask(row), state=ClaimState(row["state"]), **_same(row, _OF_CLAIM))


def lease_row(lease: Lease) -> Row:
    """The row of a lease, but for the number that an ended one gets."""
    placement = lease.placement
    more = {
        "node": placement.node,
        "devices": _names(placement.devices),
        "shares": json.dumps(placement.shares),
        "memory": placement.memory,
        "status": str(lease.status),
        "target": str(lease.target),
        "reason": str(lease.reason) if lease.reason else None,
        "ended_by": lease.by,
    }
    return _plain(_picked(lease, _OF_LEASE) | _asked(lease.ask) | more)


def lease_of(row: Read) -> Lease:
    """The lease of a row."""
    placement = Placement(
        node=row["node"],
        devices=_of_names(row["devices"]),
        memory=row["memory"],
        shares=tuple(json.loads(row["shares"])),
    )
    return Lease(
        ask=_of_ask(row),
        placement=placement,
        status=LeaseStatus(row["status"]),
        target=Target(row["target"]),
        reason=EndReason(row["reason"]) if row["reason"] else None,
        by=row["ended_by"],
        **_same(row, _OF_LEASE),
    )


def usage_row(entry: UsageEntry) -> Row:
    """The row of a usage entry."""
    more = {
        "user_name": entry.user,
        "groups": _names(entry.groups),
        "devices": _names(entry.devices),
        "start_at": entry.start,
        "end_at": entry.end,
        "price": str(entry.price),
    }
    return _plain(_picked(entry, _OF_USAGE) | more)


def usage_of(row: Read) -> UsageEntry:
    """The usage entry of a row."""
    return UsageEntry(
        user=row["user_name"],
        groups=_of_names(row["groups"]),
        devices=_of_names(row["devices"]),
        start=row["start_at"],
        end=row["end_at"],
        price=Decimal(row["price"]),
        **_same(row, _OF_USAGE),
    )


def audit_row(record: AuditRecord) -> Row:
    """The row of an audit record."""
    return _plain(_picked(record, _OF_AUDIT) | {"user_name": record.user})


def audit_of(row: Read) -> AuditRecord:
    """The audit record of a row."""
    return AuditRecord(user=row["user_name"], **_same(row, _OF_AUDIT))
