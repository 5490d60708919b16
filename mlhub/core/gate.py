"""Which claims may be granted at all now: those that fit somewhere and keep within every limit."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from mlhub.core.claims import Ask, Claim
from mlhub.core.decisions import Denied, Reason
from mlhub.core.devices import Device, Flavor
from mlhub.core.leases import Lease
from mlhub.core.ledger import Ledger
from mlhub.core.placement import largest
from mlhub.core.policy import Policy
from mlhub.core.quantities import plural
from mlhub.core.quotas import Held


def most_of(flavor: Flavor, devices: Iterable[Device]) -> int:
    """The most devices of a flavor that one claim can ever get."""
    most = largest(devices)
    return most if flavor.max_count is None else min(most, flavor.max_count)


def impossible(ask: Ask, flavor: Flavor, most: float) -> Denied | None:
    """The refusal of an ask for more than one claim can ever get, or None."""
    if ask.count <= most:
        return None
    text = f"There is no {flavor.display_name} here now." if not most else (
        f"You asked for {plural(ask.count, 'GPU')} of {flavor.display_name}; "
        f"one server can have at most {most} of them."
    )  # fmt: skip
    return Denied(Reason.TOO_MANY, text, limit=int(most), used=ask.count, unit="GPUs")


class Gate:
    """Tells of many waiting claims of one flavor which may be granted, as what is held changes."""

    def __init__(
        self, ledger: Ledger, policy: Policy, flavor: Flavor, devices: Iterable[Device]
    ) -> None:
        self._policy = policy
        self._flavor = flavor
        there = tuple(devices)
        # Hardware that was not read yet says nothing of how many there are.
        self._most = most_of(flavor, there) if there else math.inf
        self._held = Held(ledger.leases.values())

    def refusal(self, ask: Ask, now: datetime) -> Denied | None:
        """Why it may not be granted whatever is free, or None."""
        return impossible(ask, self._flavor, self._most) or self._held.check(
            self._policy, ask, self._flavor, now
        )

    def within(self, queue: Iterable[Claim], now: datetime) -> list[Claim]:
        """The claims that only wait for devices."""
        return [claim for claim in queue if self.refusal(claim.ask, now) is None]

    def add(self, lease: Lease) -> None:
        """Count a lease that was just made."""
        self._held.add(lease)

    def pressure(self, queue: Iterable[Claim], now: datetime) -> Pressure:
        """Who of these claims would be helped by the end of a lease."""
        free, groups = 0, Counter[str]()
        for claim in queue:
            denied = self.refusal(claim.ask, now)
            if denied is None:
                free += 1
            elif denied.reason is Reason.GROUP_LIMIT:
                groups[denied.group] += 1
        return Pressure(free, groups)


@dataclass(frozen=True, slots=True)
class Pressure:
    """How many claims of one flavor wait for a lease to end.

    One that its owner's own limit keeps back would get nothing from the end of somebody's lease.

    Attributes:
        devices: those that only wait for devices.
        groups: those that wait for their group to hold less, by group.
    """

    devices: int
    groups: Mapping[str, int]

    def on(self, lease: Lease) -> int:
        """How many wait for that lease."""
        return self.devices + max(
            (self.groups.get(name, 0) for name in lease.ask.groups), default=0
        )
