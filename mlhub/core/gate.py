"""Which claims may be granted at all now: those that fit somewhere and keep within every limit."""

from __future__ import annotations

from collections.abc import Iterable
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


def impossible(ask: Ask, flavor: Flavor, most: int) -> Denied | None:
    """The refusal of an ask for more than one claim can ever get, or None."""
    if ask.count <= most:
        return None
    text = (
        f"You asked for {plural(ask.count, 'GPU')} of {flavor.display_name}; "
        f"one server can have at most {most} of them."
    )
    return Denied(Reason.TOO_MANY, text, limit=most, used=ask.count, unit="GPUs")


class Gate:
    """Tells of many waiting claims of one flavor which may be granted, as what is held changes."""

    def __init__(
        self, ledger: Ledger, policy: Policy, flavor: Flavor, devices: Iterable[Device]
    ) -> None:
        self._policy = policy
        self._flavor = flavor
        self._most = most_of(flavor, devices)
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
