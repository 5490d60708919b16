"""Rows of the database from values of the ledger, and back: a round trip changes nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
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
LEASE_TIMES: Final = (
    "granted_at", "start_by", "ends_at", "start_asked_at", "stop_asked_at", "started_at",
    "used_at", "warned_at", "seen_at", "billed_until", "ended_at",
)  # fmt: skip


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


def _ask(ask: Ask) -> str:
    """All of an ask but its user and flavor, which have columns of their own."""
    return json.dumps(
        {
            "kind": ask.kind,
            "server": ask.server,
            "count": ask.count,
            "seconds": ask.duration.total_seconds(),
            "wait": ask.wait,
            "options": ask.options,
            "groups": ask.groups,
        }
    )


def _of_ask(row: Read) -> Ask:
    rest = json.loads(row["ask"])
    return Ask(
        user=row["user_name"],
        server=rest["server"],
        flavor=row["flavor"],
        count=rest["count"],
        duration=timedelta(seconds=rest["seconds"]),
        wait=rest["wait"],
        kind=HolderKind(rest["kind"]),
        options=rest["options"],
        groups=tuple(rest["groups"]),
    )


def claim_row(claim: Claim) -> Row:
    """The row of a claim."""
    return _plain(
        {
            "id": claim.id,
            "user_name": claim.ask.user,
            "key": claim.key,
            "remembered": True,
            "flavor": claim.ask.flavor,
            "ask": _ask(claim.ask),
            "priority": claim.priority,
            "submitted_at": claim.submitted_at,
            "state": str(claim.state),
            "decided_at": claim.decided_at,
            "lease_id": claim.lease_id,
            "why": claim.why,
            "told": claim.told,
            "blocked": claim.blocked,
        }
    )


def claim_of(row: Read) -> Claim:
    """The claim of a row."""
    return Claim(
        id=row["id"],
        key=row["key"],
        ask=_of_ask(row),
        priority=row["priority"],
        submitted_at=row["submitted_at"],
        state=ClaimState(row["state"]),
        decided_at=row["decided_at"],
        lease_id=row["lease_id"],
        why=row["why"],
        told=row["told"],
        blocked=row["blocked"],
    )


def lease_row(lease: Lease) -> Row:
    """The row of a lease, but for the number that an ended one gets."""
    return _plain(
        {
            "id": lease.id,
            "claim_id": lease.claim_id,
            "user_name": lease.ask.user,
            "flavor": lease.ask.flavor,
            "ask": _ask(lease.ask),
            "node": lease.placement.node,
            "devices": _names(lease.placement.devices),
            "shares": json.dumps(lease.placement.shares),
            "memory": lease.placement.memory,
            "status": str(lease.status),
            "target": str(lease.target),
            "from_queue": lease.from_queue,
            "starts": lease.starts,
            "holder": lease.holder,
            "reason": str(lease.reason) if lease.reason else None,
            "why": lease.why,
            "ended_by": lease.by,
        }
        | {name: getattr(lease, name) for name in LEASE_TIMES}
    )


def lease_of(row: Read) -> Lease:
    """The lease of a row."""
    return Lease(
        id=row["id"],
        claim_id=row["claim_id"],
        ask=_of_ask(row),
        placement=Placement(
            node=row["node"],
            devices=_of_names(row["devices"]),
            memory=row["memory"],
            shares=tuple(json.loads(row["shares"])),
        ),
        status=LeaseStatus(row["status"]),
        target=Target(row["target"]),
        from_queue=row["from_queue"],
        starts=row["starts"],
        holder=row["holder"],
        reason=EndReason(row["reason"]) if row["reason"] else None,
        why=row["why"],
        by=row["ended_by"],
        **{name: row[name] for name in LEASE_TIMES},
    )


def usage_row(entry: UsageEntry) -> Row:
    """The row of a usage entry."""
    return _plain(
        {
            "lease_id": entry.lease_id,
            "user_name": entry.user,
            "server": entry.server,
            "groups": _names(entry.groups),
            "flavor": entry.flavor,
            "devices": _names(entry.devices),
            "start_at": entry.start,
            "end_at": entry.end,
            "price": str(entry.price),
        }
    )


def usage_of(row: Read) -> UsageEntry:
    """The usage entry of a row."""
    return UsageEntry(
        lease_id=row["lease_id"],
        user=row["user_name"],
        server=row["server"],
        groups=_of_names(row["groups"]),
        flavor=row["flavor"],
        devices=_of_names(row["devices"]),
        start=row["start_at"],
        end=row["end_at"],
        price=Decimal(row["price"]),
    )


def audit_row(record: AuditRecord) -> Row:
    """The row of an audit record."""
    return _plain(
        {
            "at": record.at,
            "actor": record.actor,
            "action": record.action,
            "subject": record.subject,
            "user_name": record.user,
            "detail": record.detail,
        }
    )


def audit_of(row: Read) -> AuditRecord:
    """The audit record of a row."""
    return AuditRecord(
        at=row["at"],
        actor=row["actor"],
        action=row["action"],
        subject=row["subject"],
        user=row["user_name"],
        detail=row["detail"],
    )
