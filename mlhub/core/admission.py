"""From an ask to an answer: what is refused at once, who is granted now, what the queue says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from mlhub.core.claims import Ask, Claim, ClaimState
from mlhub.core.decisions import Denied, Forecast, Queued, Reason
from mlhub.core.devices import Device, Flavor, Inventory
from mlhub.core.leases import Lease
from mlhub.core.ledger import AuditRecord, Changes, Ledger
from mlhub.core.placement import free_units, largest, open_devices
from mlhub.core.policy import Policy
from mlhub.core.quantities import format_duration, ordinal, plural
from mlhub.core.queue import Grant, Supply, forecasts, ordered, plan, supply_of
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
    devices = policy.devices_of(flavor.name, inventory)
    return _impossible(ask, flavor, devices) or check(ledger, policy, ask, flavor, now)


def _impossible(ask: Ask, flavor: Flavor, devices: tuple[Device, ...]) -> Denied | None:
    most = largest(devices)
    if flavor.max_count is not None:
        most = min(most, flavor.max_count)
    if ask.count > most:
        text = (
            f"You asked for {plural(ask.count, 'GPU')} of {flavor.display_name}; "
            f"one server can have at most {most} of them."
        )
        return Denied(Reason.TOO_MANY, text, limit=most, used=ask.count, unit="GPUs")
    return None


def supply(
    ledger: Ledger, inventory: Inventory, policy: Policy, name: str, now: datetime
) -> Supply:
    """What there is of a flavor now: its open devices and the leases on them."""
    devices = open_devices(policy.devices_of(name, inventory), inventory)
    return supply_of(devices, ledger.leases.values(), now, policy.notice)


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
    have = supply(ledger, inventory, policy, name, now)
    queue = ordered(ledger.waiting(name))
    if flavor is None or not queue or not free_units(have.devices, have.taken):
        return Changes()
    changes = Changes()
    within, blocked = _within_limits(ledger, policy, queue, flavor, now)
    for grant in plan(within, have, now).grants:
        # A grant of this pass may have used up the limit of the next claim's owner.
        if check(ledger, policy, grant.claim.ask, flavor, now) is None:
            waited = grant.claim.id != asking
            made = _granted(grant, policy, now, new_id(), waited=waited)
            ledger, changes = ledger.apply(made), changes + made
    return changes + Changes(claims=tuple(blocked))


def _within_limits(
    ledger: Ledger, policy: Policy, queue: list[Claim], flavor: Flavor, now: datetime
) -> tuple[list[Claim], list[Claim]]:
    """The claims that may be granted, and those whose note of being passed over changed."""
    within, changed = [], []
    for claim in queue:
        denied = check(ledger, policy, claim.ask, flavor, now)
        note = denied.message if denied else ""
        if not denied:
            within.append(claim)
        elif claim.blocked != note:
            changed.append(replace(claim, blocked=note))
    return within, changed


def _granted(
    grant: Grant, policy: Policy, now: datetime, lease_id: str, *, waited: bool
) -> Changes:
    ask = grant.claim.ask
    patience = max(policy.start_timeout, policy.claim_window) if waited else policy.start_timeout
    lease = Lease(
        id=lease_id, claim_id=grant.claim.id, ask=ask, placement=grant.placement, granted_at=now,
        start_by=now + patience, ends_at=now + ask.duration,
        from_queue=waited,
    )  # fmt: skip
    claim = replace(
        grant.claim, state=ClaimState.GRANTED, decided_at=now, lease_id=lease_id, blocked=""
    )
    record = AuditRecord(
        now, "broker", "granted", lease_id, user=ask.user,
        detail=f"{len(lease.placement.devices)} x {ask.flavor} on {lease.placement.node}",
    )  # fmt: skip
    return Changes(claims=(claim,), leases=(lease,), audit=(record,))


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
    have = supply(ledger, inventory, policy, name, now)
    promise = plan(ordered(ledger.waiting(name)), have, now).promise
    free = free_units(have.devices, have.taken)
    return frozenset(uuid for uuid in promise[1] if uuid in free) if promise else frozenset()


def queue_forecasts(
    ledger: Ledger, inventory: Inventory, policy: Policy, name: str, now: datetime
) -> dict[str, Forecast]:
    """When each claim that waits for a flavor can expect its turn, by claim id."""
    have = supply(ledger, inventory, policy, name, now)
    past = ledger.past.get(name, ())
    return forecasts(ordered(ledger.waiting(name)), have, ledger.leases.values(), past, now)


def standing(
    claim: Claim, flavor: Flavor | None, *,
    position: int, coming: Forecast | None, open_units: int, now: datetime,
) -> Queued:  # fmt: skip
    """What a waiting claim is told: its place, when, and why it waits."""
    label = flavor.display_name if flavor else claim.ask.flavor
    reason = Reason.BEHIND_OTHERS if position > 1 else Reason.NO_CAPACITY
    if open_units == 0:
        reason = Reason.OUT_OF_SERVICE
    text = claim.blocked or _place_text(position, label, coming, now)
    return Queued(claim, position, coming, reason, text)


def _place_text(position: int, label: str, coming: Forecast | None, now: datetime) -> str:
    place = f"You are {ordinal(position)} in the queue for {label}"
    if coming is None:
        return f"{place}; when one will be free is not known."
    return f"{place}, about {format_duration(coming.expected - now)}."


def no_room(
    ask: Ask, flavor: Flavor, have: Supply, waiting: int, coming: Forecast | None, now: datetime
) -> Denied:
    """The refusal of an ask that does not want to wait, when it would have to."""
    units = sum(device.shares for device in have.devices)
    free = sum(free_units(have.devices, have.taken).values())
    if units == 0:
        text = f"Every {flavor.display_name} is out of service at the moment."
        return Denied(Reason.OUT_OF_SERVICE, text, limit=0, used=0, unit="GPUs")
    state = f"All {units} {flavor.display_name} are in use" if not free else (
        f"{free} of {units} {flavor.display_name} are free, not {ask.count} on one node"
        if free < ask.count or not waiting else f"{free} of {units} {flavor.display_name} are kept "
        "for those who wait"
    )  # fmt: skip
    about = f", about {format_duration(coming.expected - now)}" if coming else ""
    text = f"{state}; you would be {ordinal(waiting + 1)} in the queue{about}."
    retry = coming.expected if coming else None
    return Denied(Reason.NO_CAPACITY, text, units, units - free, "GPUs", retry)
