"""The ledger and the hardware at one instant, for one answer; what many ask is worked out once."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Final

from hub_services.quota.answers import FlavorView
from hub_services.quota.views import LeaseFacts
from mlhub.broker.ports import DeviceLoad, UsageSource
from mlhub.core.admission import pressure
from mlhub.core.availability import FlavorState, availability, would_wait
from mlhub.core.decisions import Forecast
from mlhub.core.devices import Inventory
from mlhub.core.errors import InventoryUnavailable
from mlhub.core.gate import Pressure
from mlhub.core.leases import Lease
from mlhub.core.ledger import Ledger
from mlhub.core.policy import Limit, Policy

FRESH: Final = 5.0  # seconds that a forecast of minutes may be old while nothing has changed
LOAD_FRESH: Final = 5.0  # seconds that the load of the devices may be old


@dataclass(frozen=True, slots=True)
class Scene:
    """What one answer is made from."""

    ledger: Ledger
    inventory: Inventory
    policy: Policy
    now: datetime

    def facts(self) -> LeaseFacts:
        """What is said of every lease; who waits is worked out for what is asked of."""

        @cache
        def pressing(flavor: str) -> Pressure:
            return pressure(self.ledger, self.inventory, self.policy, flavor, self.now)

        def waiting(lease: Lease) -> int:
            return pressing(lease.ask.flavor).on(lease)

        return LeaseFacts(self.policy, self.now, waiting, self.inventory.simulated)


@dataclass(slots=True)
class Picture:
    """Counts, forecasts and load, kept for a moment."""

    revision: int = -1
    inventory: Inventory | None = None
    made: float = 0.0
    states: tuple[FlavorState, ...] = ()
    coming: dict[tuple[str, int], Forecast | None] = field(default_factory=dict)
    shown: dict[tuple[int, Limit], list[FlavorView]] = field(default_factory=dict)
    loads: dict[str, DeviceLoad] = field(default_factory=dict)
    loaded: float | None = None

    def flavors(self, scene: Scene) -> tuple[FlavorState, ...]:
        """The state of every flavor."""
        self._renew(scene)
        return self.states

    def forecast(self, scene: Scene, flavor: str, priority: int) -> Forecast | None:
        """When somebody of that priority who joined a queue now could expect their turn."""
        self._renew(scene)
        key = (flavor, priority)
        if key not in self.coming:
            self.coming[key] = would_wait(
                scene.ledger, scene.inventory, scene.policy, flavor,
                priority=priority, duration=scene.policy.duration, now=scene.now,
            )  # fmt: skip
        return self.coming[key]

    async def load(self, usage: UsageSource | None) -> dict[str, DeviceLoad]:
        """How busy each device is, by UUID; empty where nobody can say."""
        old = self.loaded is None or time.monotonic() - self.loaded > LOAD_FRESH
        if usage is not None and old:
            self.loaded = time.monotonic()
            try:
                self.loads = {row.device: row for row in await usage.load()}
            except InventoryUnavailable:
                self.loads = {}
        return self.loads

    def _renew(self, scene: Scene) -> None:
        same = self.revision == scene.ledger.revision and self._shows(scene.inventory)
        self.revision, self.inventory = scene.ledger.revision, scene.inventory
        if same and time.monotonic() - self.made < FRESH:
            return
        self.states = availability(scene.ledger, scene.inventory, scene.policy, scene.now)
        self.coming, self.shown = {}, {}
        self.made = time.monotonic()

    def _shows(self, inventory: Inventory) -> bool:
        """Whether it was made of the same devices: the hardware is read far more often than new."""
        if self.inventory is None or inventory is self.inventory:
            return inventory is self.inventory
        made_of = (self.inventory.nodes, self.inventory.devices)
        return made_of == (inventory.nodes, inventory.devices)
