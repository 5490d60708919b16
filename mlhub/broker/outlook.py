"""What those who wait are told: places and forecasts, worked out once for many readers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from mlhub.broker.hardware import Hardware
from mlhub.broker.ports import Clock
from mlhub.core.admission import flavor_of, judge, queue_forecasts, standing, supply
from mlhub.core.claims import Claim
from mlhub.core.decisions import Forecast, Queued
from mlhub.core.devices import Flavor
from mlhub.core.ledger import Ledger
from mlhub.core.policy import Policy
from mlhub.core.queue import ordered

FRESH: Final = 0.5  # seconds that a forecast of minutes may be old


@dataclass(frozen=True, slots=True)
class Line:
    """One flavor's queue as it stood at a revision: places from 1, and forecasts, by claim id."""

    revision: int
    made: float
    places: dict[str, int]
    forecasts: dict[str, Forecast]
    units: int


class Outlook:
    """Places and forecasts of every queue; a forecast may be half a second old, a place never."""

    def __init__(self, hardware: Hardware, policy: Policy, clock: Clock) -> None:
        self.hardware = hardware
        self.policy = policy
        self.clock = clock
        self._lines: dict[str, Line] = {}

    def now(self, ledger: Ledger) -> datetime:
        """Ledger time: of the last commit, and what has passed since by the monotonic clock."""
        anchor = ledger.anchor
        if anchor is None or anchor.boot != self.clock.boot():
            return self.clock.now()
        return anchor.wall + timedelta(seconds=self.clock.monotonic() - anchor.monotonic)

    def place_of(self, claim: Claim, ledger: Ledger) -> Queued:
        """What the owner of a waiting claim is told."""
        line, inventory = self.line(claim.ask.flavor, ledger), self.hardware.last()
        name, unread, now = claim.ask.flavor, inventory.unread, self.now(ledger)
        flavor = flavor_of(self.policy, inventory, name)
        denied = judge(ledger, inventory, self.policy, claim.ask, now) if claim.blocked else None
        # What was not seen yet may well be there, and in order.
        return standing(
            claim, flavor or (Flavor(name, name) if unread else None),
            position=line.places[claim.id], coming=line.forecasts.get(claim.id),
            open_units=1 if unread else line.units, now=now, denied=None if unread else denied,
        )  # fmt: skip

    def line(self, flavor: str, ledger: Ledger) -> Line:
        """The queue of a flavor."""
        known = self._lines.get(flavor)
        age = self.clock.monotonic() - known.made if known else FRESH
        if known and known.revision == ledger.revision and age < FRESH:
            return known
        queue = ordered(ledger.waiting(flavor))
        places = {claim.id: i for i, claim in enumerate(queue, 1)}
        if known and age < FRESH and places.keys() <= known.places.keys():
            line = Line(ledger.revision, known.made, places, known.forecasts, known.units)
        else:
            line = self._worked_out(flavor, ledger, places)
        self._lines[flavor] = line
        return line

    def _worked_out(self, flavor: str, ledger: Ledger, places: dict[str, int]) -> Line:
        now, inventory = self.now(ledger), self.hardware.last()
        have = supply(ledger, inventory, self.policy, flavor, now)
        coming = queue_forecasts(ledger, inventory, self.policy, flavor, now)
        units = sum(device.shares for device in have.devices)
        return Line(ledger.revision, self.clock.monotonic(), places, coming, units)
