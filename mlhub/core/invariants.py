"""What must hold of a ledger at every commit: one check for tests, the doctor and benchmarks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from mlhub.core.devices import Inventory
from mlhub.core.leases import Lease, LeaseStatus, Target
from mlhub.core.ledger import Ledger
from mlhub.core.lifecycle import Observation, Presence
from mlhub.core.policy import Limit, Policy
from mlhub.core.quantities import format_memory, plural
from mlhub.core.quotas import use_of
from mlhub.core.strays import Use

QUIET: Final = timedelta(seconds=120)  # invariant I11


@dataclass(frozen=True, slots=True)
class Finding:
    """One invariant and how it stands.

    Attributes:
        says: what must hold.
        detail: what breaks it, "" when nothing does.
        looked_at: what was counted or asked to know that.
    """

    invariant: str
    says: str
    ok: bool
    detail: str = ""
    looked_at: str = ""


def examine(
    ledger: Ledger,
    inventory: Inventory,
    policy: Policy,
    seen: Mapping[str, Observation],
    now: datetime,
    *,
    uses: Sequence[Use] | None = None,
) -> list[Finding]:
    """I1, I2, I3, I5 and I6: of the ledger, and of what hardware and processes say of it.

    Args:
        ledger: as of a commit.
        inventory: what exists; its devices' shares count.
        policy: whose limits and times apply.
        seen: what was observed of the holders, by lease id.
        now: the ledger's time.
        uses: what runs on the devices; None where nobody could say.
    """
    on, held = _on_devices(uses), _counted(ledger)
    rows = (
        (
            "I1", "no device has more leases than shares",
            [*_overbooked(ledger, inventory), *_crowded(uses or (), inventory)],
            f"{held} and {plural(len(inventory.devices), 'GPU')}; {on}",
        ),
        (
            "I2", "nobody holds more than their limit", _over_limit(ledger, policy),
            f"{held} of {_people(ledger)} and {plural(len(policy.groups), 'group limit')}",
        ),
        (
            "I3", "every holder has one lease, every lease its holder or a running timer",
            [*_doubled(ledger), *_twice_there(ledger, seen), *_never_started(ledger, now)],
            f"{held}; {_holders(seen)}",
        ),
        ("I5", "one key, one claim, one lease", [*_keys(ledger), *_other_lease(ledger)],
         f"{plural(len(ledger.claims), 'claim')} that are remembered"),
        ("I6", "no lease outlives its holder", _outlived(ledger, policy, seen, now),
         _holders(seen)),
    )  # fmt: skip
    return [Finding(name, says, not bad, "; ".join(bad), at) for name, says, bad, at in rows]


def _counted(ledger: Ledger) -> str:
    return plural(len(ledger.leases), "live lease")


def _people(ledger: Ledger) -> str:
    users = {lease.ask.user for lease in ledger.leases.values()}
    return plural(len(users), "user")


def _holders(seen: Mapping[str, Observation]) -> str:
    there = sum(row.presence is Presence.THERE for row in seen.values())
    unknown = sum(row.presence is Presence.UNKNOWN for row in seen.values())
    hidden = f", {unknown} could not be looked at" if unknown else ""
    return f"the processes of {plural(len(seen), 'lease')}: {there} run{hidden}"


def _on_devices(uses: Sequence[Use] | None) -> str:
    if uses is None:
        return "what runs on them could not be seen"
    return f"processes on them: {len(uses)}"


def _overbooked(ledger: Ledger, inventory: Inventory) -> list[str]:
    shares = {device.uuid: device.shares for device in inventory.devices}
    return [
        f"{uuid} has {count} leases"
        for uuid, count in ledger.taken().items()
        if count > shares.get(uuid, 1)
    ]


def _crowded(uses: Iterable[Use], inventory: Inventory) -> list[str]:
    shares = {device.uuid: device.shares for device in inventory.devices}
    leases = defaultdict(set)
    for use in uses:
        if use.lease_id and not use.graphics:
            leases[use.device].add(use.lease_id)
    return [
        f"processes of {len(names)} leases work on {uuid}: {', '.join(sorted(names))}"
        for uuid, names in leases.items()
        if len(names) > shares.get(uuid, 1)
    ]


def _over_limit(ledger: Ledger, policy: Policy) -> list[str]:
    bad = []
    for user in sorted({lease.ask.user for lease in ledger.leases.values()}):
        mine = ledger.leases_of(user)
        bad += _beyond(user, mine, policy.limit_for(user, mine[-1].ask.groups))
    for name, limit in policy.groups.items():
        theirs = [row for row in ledger.leases.values() if name in row.ask.groups]
        bad += _beyond(f"the group {name}", theirs, limit)
    return bad


def _beyond(who: str, leases: list[Lease], limit: Limit) -> list[str]:
    use, bad = use_of(leases), []
    if limit.devices is not None and use.devices > limit.devices:
        bad.append(f"{who} holds {use.devices} of {limit.devices} GPUs")
    if limit.memory is not None and use.memory > limit.memory:
        held, most = format_memory(use.memory), format_memory(limit.memory)
        bad.append(f"{who} holds {held} of {most} of GPU memory")
    if limit.servers is not None and use.servers > limit.servers:
        bad.append(f"{who} has {use.servers} of {limit.servers} servers")
    return bad


def _doubled(ledger: Ledger) -> list[str]:
    rows = [(row.holder, row) for row in ledger.leases.values() if row.holder]
    return _pairs(rows, "leases {} and {} have one holder")


def _twice_there(ledger: Ledger, seen: Mapping[str, Observation]) -> list[str]:
    """Two leases of one server, and the processes of both run."""
    rows = [
        (row.ask.holder, row)
        for row in ledger.leases.values()
        if row.status is LeaseStatus.ACTIVE
        and row.id in seen
        and seen[row.id].presence is Presence.THERE
    ]
    return _pairs(rows, "leases {} and {} are of one server, and both run")


def _pairs(rows: Iterable[tuple[object, Lease]], text: str) -> list[str]:
    first: dict[object, str] = {}
    bad = []
    for key, lease in rows:
        if key in first:
            bad.append(text.format(first[key], lease.id))
        first[key] = lease.id
    return bad


def _never_started(ledger: Ledger, now: datetime) -> list[str]:
    return [
        f"lease {row.id} of {row.ask.user} has no holder, and should have had one by "
        f"{row.start_by:%H:%M:%S}"
        for row in ledger.leases.values()
        if row.status is LeaseStatus.HELD
        and row.target is Target.ACTIVE
        and now > row.start_by + QUIET
    ]


def _keys(ledger: Ledger) -> list[str]:
    seen: set[tuple[str, str]] = set()
    bad = []
    for claim in ledger.claims.values():
        key = (claim.ask.user, claim.key)
        if key in seen:
            bad.append(f"a key of {claim.ask.user} is there twice")
        seen.add(key)
    return bad


def _other_lease(ledger: Ledger) -> list[str]:
    return [
        f"claim {claim.id} of {claim.ask.user} names another lease than {lease.id}"
        for lease in ledger.leases.values()
        if (claim := ledger.claims.get(lease.claim_id)) and claim.lease_id != lease.id
    ]


def _outlived(
    ledger: Ledger, policy: Policy, seen: Mapping[str, Observation], now: datetime
) -> list[str]:
    return [
        f"lease {lease.id} of {lease.ask.user} is still {lease.status}"
        for lease in ledger.leases.values()
        if lease.id in seen and _should_be_over(lease, policy, seen[lease.id].presence, now)
    ]


def _should_be_over(lease: Lease, policy: Policy, presence: Presence, now: datetime) -> bool:
    asked = lease.stop_asked_at
    if presence is Presence.THERE:
        return asked is not None and now > asked + 4 * policy.stop_timeout
    last = max((at for at in (lease.seen_at, asked) if at), default=None)
    known = lease.status is not LeaseStatus.HELD and lease.holder
    return bool(presence is Presence.GONE and known and last and now > last + QUIET)
