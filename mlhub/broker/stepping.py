"""Every live lease moved one step, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from mlhub.core.devices import Inventory
from mlhub.core.ledger import Changes, Ledger
from mlhub.core.lifecycle import Observation, Step, advance
from mlhub.core.policy import Policy


def step_all(
    ledger: Ledger,
    seen: Mapping[str, Observation],
    inventory: Inventory,
    policy: Policy,
    now: datetime,
) -> tuple[list[Step], Changes]:
    """One step of each live lease that was observed, and all that is to be written."""
    prices = {flavor.name: flavor.price for flavor in policy.flavors_in(inventory)}
    waiting: dict[str, int] = {}
    for claim in ledger.waiting():
        waiting[claim.ask.flavor] = waiting.get(claim.ask.flavor, 0) + 1
    steps, changes = [], Changes()
    for lease in ledger.leases.values():
        if lease.id not in seen:
            continue
        step = advance(
            lease, seen[lease.id], policy=policy, waiting=waiting.get(lease.ask.flavor, 0),
            price=prices.get(lease.ask.flavor, Decimal(0)), now=now,
        )  # fmt: skip
        steps.append(step)
        changes += step.changes
    return steps, changes
