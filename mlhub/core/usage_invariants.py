"""What must hold of the usage ledger: intervals in order, as observed, and adding up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from mlhub.core.invariants import Finding
from mlhub.core.leases import Lease
from mlhub.core.ledger import UsageEntry
from mlhub.core.quantities import plural

EXACT: Final = timedelta(seconds=1)  # what rounding in a database may add up to


def examine_usage(
    entries: Sequence[UsageEntry],
    stepped_back: timedelta = timedelta(0),
    leases: Sequence[Lease] = (),
) -> Finding:
    """I7: billed intervals of one lease are in order, never overlap, and end when it was seen.

    Args:
        entries: in the order in which they were written.
        stepped_back: by how much the wall clock was set back in that time, in all: an interval
            after such a step may seem to lie in one from before it.
        leases: live or ended, to be compared with when their holders were last seen.
    """
    bad = [*_out_of_order(entries, stepped_back), *_unobserved(leases)]
    says = "billed intervals lie inside what was observed"
    looked_at = f"{_read(entries)}, {plural(len(leases), 'lease')}"
    return Finding("I7", says, not bad, "; ".join(bad), looked_at)


def examine_sums(
    entries: Sequence[UsageEntry], leases: Iterable[Lease], *, since: datetime | None = None
) -> Finding:
    """I4: what a lease was billed for is what its entries add up to, and they are its owner's.

    Args:
        entries: in the order in which they were written.
        leases: live or ended ones.
        since: entries from before were not read, so only leases that began later are looked at;
            None when all were.
    """
    covered = [
        row
        for row in leases
        if row.started_at and row.billed_until and (since is None or row.started_at > since)
    ]
    owners = {row.id: row.ask.user for row in covered}
    bad = [*_unequal(entries, covered), *_foreign(entries, owners)]
    says = "usage entries add up to what their leases were billed for"
    looked_at = f"{_read(entries)}, {plural(len(covered), 'lease')} that they cover"
    return Finding("I4", says, not bad, "; ".join(bad), looked_at)


def _read(entries: Sequence[UsageEntry]) -> str:
    return f"usage entries: {len(entries)}"


def _out_of_order(entries: Iterable[UsageEntry], stepped_back: timedelta) -> list[str]:
    bad: list[str] = []
    last: dict[str, datetime] = {}
    for entry in entries:
        earliest = last.get(entry.lease_id, entry.start) - stepped_back
        if entry.end <= entry.start or entry.start < earliest:
            bad.append(f"lease {entry.lease_id} at {entry.start:%Y-%m-%d %H:%M:%S}")
        last[entry.lease_id] = entry.end
    return bad


def _unobserved(leases: Iterable[Lease]) -> list[str]:
    return [
        f"lease {row.id} is billed until {row.billed_until:%H:%M:%S}, its holder was last seen at "
        f"{row.seen_at:%H:%M:%S}"
        for row in leases
        if row.billed_until and row.seen_at and row.billed_until > row.seen_at + EXACT
    ]


def _unequal(entries: Iterable[UsageEntry], leases: Iterable[Lease]) -> list[str]:
    billed: dict[str, timedelta] = defaultdict(timedelta)
    for entry in entries:
        billed[entry.lease_id] += entry.end - entry.start
    bad = []
    for lease in leases:
        if lease.billed_until is None or lease.started_at is None:
            continue
        says, is_there = lease.billed_until - lease.started_at, billed[lease.id]
        if abs(says - is_there) > EXACT:
            bad.append(f"lease {lease.id} was billed for {says}, its entries say {is_there}")
    return bad


def _foreign(entries: Iterable[UsageEntry], owners: dict[str, str]) -> list[str]:
    return [
        f"lease {entry.lease_id} of {owners[entry.lease_id]} was billed to {entry.user}"
        for entry in entries
        if entry.lease_id in owners and entry.user != owners[entry.lease_id]
    ]
