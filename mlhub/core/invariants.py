"""What must hold of a ledger at every commit: one check for tests, the doctor and benchmarks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from mlhub.core.devices import Inventory
from mlhub.core.leases import LeaseStatus
from mlhub.core.ledger import Ledger, UsageEntry
from mlhub.core.lifecycle import Observation, Presence
from mlhub.core.policy import Policy
from mlhub.core.quotas import use_of

QUIET: Final = timedelta(seconds=120)  # invariant I11


@dataclass(frozen=True, slots=True)
class Finding:
    """One invariant and how it stands; `detail` names what breaks it."""

    invariant: str
    says: str
    ok: bool
    detail: str = ""


def examine(
    ledger: Ledger,
    inventory: Inventory,
    policy: Policy,
    seen: Mapping[str, Observation],
    now: datetime,
) -> list[Finding]:
    """I1, I2, I3, I5 and I6 of the ledger as it stands."""
    rows = (
        ("I1", "no device has more leases than shares", _overbooked(ledger, inventory)),
        ("I2", "nobody holds more than their limit", _over_limit(ledger, policy)),
        ("I3", "every holder has exactly one running lease", _doubled(ledger)),
        ("I5", "one key, one claim", _keys(ledger)),
        ("I6", "no lease outlives its holder", _outlived(ledger, policy, seen, now)),
    )
    return [Finding(name, says, not bad, "; ".join(bad)) for name, says, bad in rows]


def examine_usage(entries: list[UsageEntry], stepped_back: timedelta = timedelta(0)) -> Finding:
    """I7: billed intervals of one lease are in order and never overlap.

    Args:
        entries: in the order in which they were written.
        stepped_back: by how much the wall clock was set back in that time, in all: an interval
            after such a step may seem to lie in one from before it.
    """
    bad: list[str] = []
    last: dict[str, datetime] = {}
    for entry in entries:
        earliest = last.get(entry.lease_id, entry.start) - stepped_back
        if entry.end <= entry.start or entry.start < earliest:
            bad.append(f"lease {entry.lease_id} at {entry.start:%Y-%m-%d %H:%M:%S}")
        last[entry.lease_id] = entry.end
    return Finding("I7", "billed intervals lie inside what was observed", not bad, "; ".join(bad))


def _overbooked(ledger: Ledger, inventory: Inventory) -> list[str]:
    shares = {device.uuid: device.shares for device in inventory.devices}
    return [
        f"{uuid} has {count} leases"
        for uuid, count in ledger.taken().items()
        if count > shares.get(uuid, 1)
    ]


def _over_limit(ledger: Ledger, policy: Policy) -> list[str]:
    bad = []
    for user in {lease.ask.user for lease in ledger.leases.values()}:
        mine = ledger.leases_of(user)
        limit, use = policy.limit_for(user, mine[-1].ask.groups), use_of(mine)
        if limit.devices is not None and use.devices > limit.devices:
            bad.append(f"{user} holds {use.devices} of {limit.devices} GPUs")
        if limit.servers is not None and use.servers > limit.servers:
            bad.append(f"{user} has {use.servers} of {limit.servers} servers")
    return bad


def _doubled(ledger: Ledger) -> list[str]:
    seen: dict[str, str] = {}
    bad = []
    for lease in ledger.leases.values():
        if lease.holder and lease.status is LeaseStatus.ACTIVE:
            if lease.holder in seen:
                bad.append(f"leases {seen[lease.holder]} and {lease.id} have one holder")
            seen[lease.holder] = lease.id
    return bad


def _keys(ledger: Ledger) -> list[str]:
    seen: set[tuple[str, str]] = set()
    bad = []
    for claim in ledger.claims.values():
        key = (claim.ask.user, claim.key)
        if key in seen:
            bad.append(f"a key of {claim.ask.user} is there twice")
        seen.add(key)
    return bad


def _outlived(
    ledger: Ledger, policy: Policy, seen: Mapping[str, Observation], now: datetime
) -> list[str]:
    bad = []
    for lease in ledger.leases.values():
        presence = seen[lease.id].presence if lease.id in seen else Presence.UNKNOWN
        asked = lease.stop_asked_at
        late = asked is not None and now > asked + 4 * policy.stop_timeout
        forgotten = (
            lease.status is LeaseStatus.ACTIVE
            and presence is Presence.GONE
            and lease.seen_at is not None
            and now > lease.seen_at + QUIET
        )
        if forgotten or (late and presence is Presence.THERE):
            bad.append(f"lease {lease.id} of {lease.ask.user} is still {lease.status}")
    return bad
