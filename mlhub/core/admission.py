"""From an ask to an answer: what is refused at once, who is granted now, what the queue says."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from mlhub.core.claims import Ask, Claim, ClaimState
from mlhub.core.decisions import Denied, Forecast, Queued, Reason
from mlhub.core.devices import Flavor, Inventory
from mlhub.core.forecasts import forecasts
from mlhub.core.gate import Gate, Pressure, impossible, most_of
from mlhub.core.leases import Lease
from mlhub.core.ledger import AuditRecord, Changes, Ledger
from mlhub.core.placement import free_units, largest, open_devices
from mlhub.core.policy import Policy
from mlhub.core.quantities import format_wait, ordinal
from mlhub.core.queue import Grant, Planner, Supply, ordered, supply_of
from mlhub.core.quotas import check


def flavor_of(policy: Policy, inventory: Inventory, name: str) -> Flavor | None:
    """The flavor in force of that name."""
    return next((f for f in policy.flavors_in(inventory) if f.name == name), None)


def judge(
    ledger: Ledger, inventory: Inventory, policy: Policy, ask: Ask, now: datetime
) -> Denied | None:
    """Why the ask is refused whatever is free, or None: unknown, impossible, or over a limit."""
    flavor = flavor_of(policy, inventory, ask.flavor)
    if flavor is None:
        names = ", ".join(f.name for f in policy.flavors_in(inventory)) or "none"
        text = f"There is no GPU flavor '{ask.flavor[:60]}' here; there are: {names}."
        return Denied(Reason.UNKNOWN_FLAVOR, text)
    most = most_of(flavor, policy.devices_of(flavor.name, inventory))
    return impossible(ask, flavor, most) or check(ledger, policy, ask, flavor, now)


def supply(
    ledger: Ledger, inventory: Inventory, policy: Policy, name: str, now: datetime
) -> Supply:
    """What there is of a flavor now: its open devices and the leases on them."""
    devices = open_devices(policy.devices_of(name, inventory), inventory)
    return supply_of(devices, ledger.leases.values(), now, policy)


def admit(
    ledger: Ledger,
    inventory: Inventory,
    policy: Policy,
    name: str,
    now: datetime,
    new_id: Callable[[], str],
    asking: str = "",
) -> Changes:
    """Grants to the waiting claims of one flavor whose turn it is, within everyone's limits.

    `asking` is the id of the claim whose owner is there to take the answer; every other one that
    is granted has waited, so that its server has to be started for it.
    """
    flavor = flavor_of(policy, inventory, name)
    queue = ordered(ledger.waiting(name))
    if flavor is None or not queue:
        return Changes()
    planner = Planner(supply(ledger, inventory, policy, name, now), now)
    # One who asks is told of their limits before: only the rest of the queue may have new notes.
    if planner.full and asking:
        return Changes()
    gate = Gate(ledger, policy, flavor, policy.devices_of(name, inventory))
    made: list[Changes] = []
    for claim in queue:
        denied = gate.refusal(claim.ask, now)
        grant = planner.offer(claim) if denied is None else None
        if grant:
            granted = _granted(grant, policy, now, new_id(), waited=claim.id != asking)
            gate.add(granted.leases[0])
            made.append(granted)
        elif claim.blocked != (note := denied.message if denied else ""):
            made.append(Changes(claims=(replace(claim, blocked=note),)))
    return Changes.of(made)


def _granted(
    grant: Grant, policy: Policy, now: datetime, lease_id: str, *, waited: bool
) -> Changes:
    ask = grant.claim.ask
    lease = _lease(grant, policy, now, lease_id, waited=waited)
    claim = replace(
        grant.claim, state=ClaimState.GRANTED, decided_at=now, lease_id=lease_id, blocked=""
    )
    record = AuditRecord(
        now, "broker", "granted", lease_id, user=ask.user,
        detail=f"{len(lease.placement.devices)} x {ask.flavor} on {lease.placement.node}",
    )  # fmt: skip
    return Changes(claims=(claim,), leases=(lease,), audit=(record,))


def _lease(grant: Grant, policy: Policy, now: datetime, lease_id: str, *, waited: bool) -> Lease:
    ask = grant.claim.ask
    patience = max(policy.start_timeout, policy.claim_window) if waited else policy.start_timeout
    return Lease(
        id=lease_id, claim_id=grant.claim.id, ask=ask, placement=grant.placement, granted_at=now,
        start_by=now + patience, ends_at=now + ask.duration, from_queue=waited,
    )  # fmt: skip


def admit_all(
    ledger: Ledger,
    inventory: Inventory,
    policy: Policy,
    now: datetime,
    new_id: Callable[[], str],
) -> Changes:
    """Grants to the waiting claims of every flavor, within everyone's limits."""
    changes = Changes()
    for name in sorted({claim.ask.flavor for claim in ledger.waiting()}):
        made = admit(ledger, inventory, policy, name, now, new_id)
        ledger, changes = (ledger.apply(made), changes + made) if made else (ledger, changes)
    return changes


def kept_devices(
    ledger: Ledger, inventory: Inventory, policy: Policy, name: str, now: datetime
) -> frozenset[str]:
    """The free devices of a flavor that are promised to the first in its queue, by UUID."""
    flavor = flavor_of(policy, inventory, name)
    queue = ordered(ledger.waiting(name))
    if flavor is None or not queue:
        return frozenset()
    have = supply(ledger, inventory, policy, name, now)
    planner = Planner(have, now)
    if planner.full:
        return frozenset()
    gate = Gate(ledger, policy, flavor, policy.devices_of(name, inventory))
    for claim in queue:
        if planner.full or planner.promise:
            break
        grant = planner.offer(claim) if gate.refusal(claim.ask, now) is None else None
        if grant:
            gate.add(_lease(grant, policy, now, claim.id, waited=True))
    kept = planner.promise[1] if planner.promise else frozenset()
    return kept & free_units(have.devices, have.taken).keys()


def queue_forecasts(
    ledger: Ledger,
    inventory: Inventory,
    policy: Policy,
    name: str,
    now: datetime,
    *,
    newcomer: Claim | None = None,
) -> dict[str, Forecast]:
    """When each claim that waits for a flavor can expect its turn, by claim id.

    Those that are over a limit are left out: they are passed over until that changes. A
    `newcomer` is one who might join, whoever that is: no limit is asked about.
    """
    flavor = flavor_of(policy, inventory, name)
    queue = ordered(ledger.waiting(name))
    if flavor is None or not (queue or newcomer):
        return {}
    have = supply(ledger, inventory, policy, name, now)
    gate = Gate(ledger, policy, flavor, policy.devices_of(name, inventory))
    hopeful = gate.within(queue, now)
    if newcomer:
        hopeful = ordered([*hopeful, newcomer])
    return forecasts(hopeful, have, ledger.past.get(name, ()), now)


def pressure(
    ledger: Ledger, inventory: Inventory, policy: Policy, name: str, now: datetime
) -> Pressure:
    """Who of those that wait for a flavor would be helped by the end of a lease of it."""
    flavor, queue = flavor_of(policy, inventory, name), ledger.waiting(name)
    if flavor is None or not queue:
        return Pressure(len(queue), {})
    devices = policy.devices_of(name, inventory)
    # One who wants more than any node can give until something is repaired gets nothing by it.
    # Hardware that was never read says nothing of what can be given.
    most = largest(open_devices(devices, inventory)) if inventory.nodes else math.inf
    queue = [claim for claim in queue if claim.ask.count <= most]
    return Gate(ledger, policy, flavor, devices).pressure(queue, now)


def standing(
    claim: Claim, flavor: Flavor | None, *,
    position: int, coming: Forecast | None, open_units: int, now: datetime,
    denied: Denied | None = None,
) -> Queued:  # fmt: skip
    """What a waiting claim is told: its place, when, and why it waits.

    `denied` is why it is passed over whatever is free. A flavor that is None is no longer there.
    """
    label = flavor.display_name if flavor else claim.ask.flavor
    reason = Reason.BEHIND_OTHERS if position > 1 else Reason.NO_CAPACITY
    text = _place_text(position, label, coming, now)
    if flavor is None:
        reason, text = Reason.UNKNOWN_FLAVOR, f"{label} is no longer offered: leave the queue."
    elif denied:
        reason, text = denied.reason, denied.message
    elif open_units == 0:
        reason = Reason.OUT_OF_SERVICE
        text = f"Every {label} is out of service now; you are {ordinal(position)} in its queue."
    return Queued(claim, position, coming, reason, text)


def _place_text(position: int, label: str, coming: Forecast | None, now: datetime) -> str:
    place = f"You are {ordinal(position)} in the queue for {label}"
    if coming is None:
        return f"{place}; when one will be free is not known."
    return f"{place}, {format_wait(coming.expected - now)}."


def no_room(
    ask: Ask, flavor: Flavor, have: Supply, ahead: int, coming: Forecast | None, now: datetime
) -> Denied:
    """The refusal of an ask that does not want to wait, when it would have to.

    `ahead` is how many of those who wait it would be behind.
    """
    units = sum(device.shares for device in have.devices)
    free = sum(free_units(have.devices, have.taken).values())
    if units == 0:
        text = f"Every {flavor.display_name} is out of service at the moment."
        return Denied(Reason.OUT_OF_SERVICE, text, limit=0, used=0, unit="GPUs")
    state = f"All {units} {flavor.display_name} are in use" if not free else (
        f"{free} of {units} {flavor.display_name} are free, not {ask.count} on one node"
        if free < ask.count or not ahead else f"{free} of {units} {flavor.display_name} are kept "
        "for those who wait"
    )  # fmt: skip
    about = f", {format_wait(coming.expected - now)}" if coming else ""
    text = f"{state}; you would be {ordinal(ahead + 1)} in the queue{about}."
    retry = coming.expected if coming else None
    return Denied(Reason.NO_CAPACITY, text, units, units - free, "GPUs", retry)
