"""What of each flavor and device is free, held, kept for somebody, or out of service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from mlhub.core.admission import kept_devices, queue_forecasts
from mlhub.core.claims import Ask, Claim, ClaimState
from mlhub.core.decisions import Forecast
from mlhub.core.devices import Device, Flavor, Inventory
from mlhub.core.ledger import Ledger
from mlhub.core.placement import largest, open_devices
from mlhub.core.policy import Policy


class DeviceState(StrEnum):
    """What can be had of a device."""

    FREE = "free"
    HELD = "held"
    KEPT = "kept"
    OUT_OF_SERVICE = "out-of-service"


@dataclass(frozen=True, slots=True)
class FlavorState:
    """A flavor at an instant. Units are what one lease takes of a device: a share, or all of it.

    Attributes:
        total: units of all its devices: free, held and out of service.
        free: units that no lease has, on devices that may be given out.
        kept: those of the free ones that are promised to the first in the queue.
        held: units that leases have.
        out_of_service: units that no lease has, on devices that may not be given out.
        waiting: claims in its queue.
        max_count: the most devices that one claim can ever get.
        devices: the state of each device, by UUID; one with a free share is free.
    """

    flavor: Flavor
    total: int
    free: int
    kept: int
    held: int
    out_of_service: int
    waiting: int
    max_count: int
    devices: Mapping[str, DeviceState]

    @property
    def now(self) -> bool:
        """Whether a claim for one device would be granted at once."""
        return self.free > self.kept


def availability(
    ledger: Ledger, inventory: Inventory, policy: Policy, now: datetime
) -> tuple[FlavorState, ...]:
    """The state of every flavor in force, in the order in which they are shown."""
    taken = ledger.taken()
    return tuple(
        _state(
            flavor, policy.devices_of(flavor.name, inventory), inventory, taken,
            kept=kept_devices(ledger, inventory, policy, flavor.name, now),
            waiting=len(ledger.waiting(flavor.name)),
        )
        for flavor in policy.flavors_in(inventory)
    )  # fmt: skip


def _state(
    flavor: Flavor,
    devices: tuple[Device, ...],
    inventory: Inventory,
    taken: Mapping[str, int],
    *,
    kept: frozenset[str],
    waiting: int,
) -> FlavorState:
    open_uuids = {device.uuid for device in open_devices(devices, inventory)}
    left = {device.uuid: max(0, device.shares - taken.get(device.uuid, 0)) for device in devices}
    most = largest(devices)
    states = {
        uuid: _device(left[uuid], is_open=uuid in open_uuids, kept=uuid in kept) for uuid in left
    }
    return FlavorState(
        flavor=flavor,
        total=sum(device.shares for device in devices),
        free=sum(units for uuid, units in left.items() if uuid in open_uuids),
        kept=sum(units for uuid, units in left.items() if uuid in open_uuids & kept),
        held=sum(device.shares - left[device.uuid] for device in devices),
        out_of_service=sum(units for uuid, units in left.items() if uuid not in open_uuids),
        waiting=waiting,
        max_count=most if flavor.max_count is None else min(most, flavor.max_count),
        devices=states,
    )


def _device(left: int, *, is_open: bool, kept: bool) -> DeviceState:
    if not left:
        return DeviceState.HELD
    if not is_open:
        return DeviceState.OUT_OF_SERVICE
    return DeviceState.KEPT if kept else DeviceState.FREE


def would_wait(
    ledger: Ledger,
    inventory: Inventory,
    policy: Policy,
    flavor: str,
    *,
    priority: int,
    duration: timedelta,
    now: datetime,
) -> Forecast | None:
    """When somebody who joined the queue of a flavor now could expect their turn."""
    ask = Ask(user="", server="", flavor=flavor, count=1, duration=duration, wait=True)
    last = Claim(
        id="~", key="", ask=ask, priority=priority, submitted_at=now, state=ClaimState.QUEUED
    )
    coming = queue_forecasts(ledger, inventory, policy, flavor, now, newcomer=last)
    return coming.get(last.id)
