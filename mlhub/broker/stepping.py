"""Every live lease moved one step, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from mlhub.broker.ports import Clock, HolderSource
from mlhub.core.admission import admit_all, pressure
from mlhub.core.devices import Health, Inventory
from mlhub.core.leases import Lease
from mlhub.core.ledger import Changes, Ledger
from mlhub.core.lifecycle import Observation, Presence, Step, advance
from mlhub.core.policy import Policy

PART: Final = Decimal("0.0001")  # how exactly a part of a lease's devices is priced


@dataclass(frozen=True, slots=True)
class Sight:
    """What a look at the holders of some leases showed.

    Attributes:
        seen: what was observed, by lease id.
        leases: the leases as they were when they were observed, by id.
        begun: the broker's monotonic clock before the look.
    """

    seen: Mapping[str, Observation]
    leases: Mapping[str, Lease]
    begun: float

    def parted(self) -> tuple[Sight, Sight]:
        """What was seen of holders that are gone, and of all others."""
        gone = {key: look for key, look in self.seen.items() if look.presence is Presence.GONE}
        rest = {key: look for key, look in self.seen.items() if key not in gone}
        return replace(self, seen=gone), replace(self, seen=rest)


async def look_at(leases: Iterable[Lease], holders: HolderSource, clock: Clock) -> Sight:
    """Look at the holders of these leases now."""
    looked_at = {lease.id: lease for lease in leases}
    begun = clock.monotonic()
    return Sight(await holders.observe(list(looked_at.values())), looked_at, begun)


@dataclass(frozen=True, slots=True)
class Moved:
    """What a sweep makes of the ledger: a step of each lease, what was granted, all changes."""

    steps: list[Step]
    granted: tuple[Lease, ...]
    changes: Changes


def move_all(
    ledger: Ledger,
    sight: Sight,
    inventory: Inventory,
    policy: Policy,
    *,
    now: datetime,
    monotonic: float,
    new_id: Callable[[], str],
) -> Moved:
    """A step of each live lease that was observed, and grants of what that makes free.

    What is free is given out before anybody is warned or ended for those who wait: who gets a GPU
    now needs none of the others'. See `step_all` for the arguments.
    """
    gone, rest = sight.parted()
    over, freed = step_all(ledger, gone, inventory, policy, now=now, monotonic=monotonic)
    ledger = ledger.apply(freed) if freed else ledger
    granted = admit_all(ledger, inventory, policy, now, new_id)
    ledger = ledger.apply(granted) if granted else ledger
    steps, changes = step_all(ledger, rest, inventory, policy, now=now, monotonic=monotonic)
    return Moved([*over, *steps], granted.leases, freed + granted + changes)


def step_all(
    ledger: Ledger,
    sight: Sight,
    inventory: Inventory,
    policy: Policy,
    *,
    now: datetime,
    monotonic: float,
) -> tuple[list[Step], Changes]:
    """One step of each live lease that was observed, and all that is to be written.

    Args:
        ledger: as it is now.
        sight: what was observed before.
        inventory: what exists, for the prices.
        policy: the times that apply.
        now: the ledger's time.
        monotonic: the broker's monotonic clock now.
    """
    ago = timedelta(seconds=max(0.0, monotonic - sight.begun))
    prices = {flavor.name: flavor.price for flavor in policy.flavors_in(inventory)}
    pressed = {
        name: pressure(ledger, inventory, policy, name, now)
        for name in {
            row.ask.flavor
            for row in ledger.leases.values()
            if row.id in sight.seen and _due(row, policy, now)
        }
    }
    there = frozenset(row.uuid for row in inventory.devices if row.health is not Health.LOST)
    steps = []
    for lease in ledger.leases.values():
        if lease.id not in sight.seen or not _still_said(lease, sight.leases.get(lease.id)):
            continue
        pressing = pressed.get(lease.ask.flavor)
        step = advance(
            lease, sight.seen[lease.id], policy=policy,
            waiting=pressing.on(lease) if pressing else 0,
            price=prices.get(lease.ask.flavor, Decimal(0)) * _working(lease, inventory, there),
            now=now, ago=ago,
        )  # fmt: skip
        steps.append(step)
    return steps, Changes.of([step.changes for step in steps])


def _due(lease: Lease, policy: Policy, now: datetime) -> bool:
    """Whether it matters to a lease who waits: near its end, and while its holder is warned."""
    return lease.warned_at is not None or now >= lease.ends_at - policy.notice


def _working(lease: Lease, inventory: Inventory, there: frozenset[str]) -> Decimal:
    """The part of its devices that are `there`: what is lost is held, and costs nothing.

    While the hardware cannot be asked nothing counts as lost.
    """
    working = len(there.intersection(lease.placement.devices))
    if inventory.problem or working == lease.count:
        return Decimal(1)
    return (Decimal(working) / lease.count).quantize(PART)


def _still_said(lease: Lease, then: Lease | None) -> bool:
    """Whether what was seen of a lease holds of it as it is now.

    A holder that was named after the look was not looked for: that nothing was found then says
    nothing of it. The next sweep looks again.
    """
    if then is None or then.holder != lease.holder:
        return False
    return bool(lease.holder) or then.status is lease.status
