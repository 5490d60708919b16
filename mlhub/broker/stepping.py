"""Every live lease moved one step, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from mlhub.core.devices import Inventory
from mlhub.core.leases import Lease
from mlhub.core.ledger import Changes, Ledger
from mlhub.core.lifecycle import Observation, Step, advance
from mlhub.core.policy import Policy


def step_all(
    ledger: Ledger,
    seen: Mapping[str, Observation],
    looked_at: Mapping[str, Lease],
    inventory: Inventory,
    policy: Policy,
    now: datetime,
) -> tuple[list[Step], Changes]:
    """One step of each live lease that was observed, and all that is to be written.

    Args:
        ledger: as it is now.
        seen: what was observed, by lease id.
        looked_at: the leases as they were when they were observed.
        inventory: what exists, for the prices.
        policy: the times that apply.
        now: the ledger's time.
    """
    prices = {flavor.name: flavor.price for flavor in policy.flavors_in(inventory)}
    waiting: dict[str, int] = {}
    for claim in ledger.waiting():
        waiting[claim.ask.flavor] = waiting.get(claim.ask.flavor, 0) + 1
    steps, changes = [], Changes()
    for lease in ledger.leases.values():
        if lease.id not in seen or not _still_said(lease, looked_at.get(lease.id)):
            continue
        step = advance(
            lease, seen[lease.id], policy=policy, waiting=waiting.get(lease.ask.flavor, 0),
            price=prices.get(lease.ask.flavor, Decimal(0)), now=now,
        )  # fmt: skip
        steps.append(step)
        changes += step.changes
    return steps, changes


def _still_said(lease: Lease, then: Lease | None) -> bool:
    """Whether what was seen of a lease holds of it as it is now.

    A holder that was named after the look was not looked for: that nothing was found then says
    nothing of it. The next sweep looks again.
    """
    if then is None or then.holder != lease.holder:
        return False
    return bool(lease.holder) or then.status is lease.status
