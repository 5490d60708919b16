"""Telling holders that a GPU of theirs has failed, what to do, and that it is well again."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from mlhub.broker.ports import Notifier
from mlhub.core.devices import Device, Health, Inventory
from mlhub.core.leases import Lease

log = logging.getLogger(__name__)
GONE = "it is no longer there"


class Troubles:
    """Remembers what each holder was told, so that each change is told once."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self._told: dict[tuple[str, str], str] = {}

    def tell(self, leases: Iterable[Lease], inventory: Inventory) -> None:
        """Tell what changed of the devices of these leases; nothing while nobody can say."""
        if inventory.problem:
            return
        devices = {device.uuid: device for device in inventory.devices}
        told = {}
        for lease in leases:
            for uuid in lease.placement.devices:
                device = devices.get(uuid)
                trouble = GONE if device is None else device.trouble
                before = self._told.get((lease.id, uuid), "")
                if trouble != before:
                    self._say(lease, uuid, _text(device, trouble))
                if trouble:
                    told[(lease.id, uuid)] = trouble
        self._told = told

    def _say(self, lease: Lease, uuid: str, text: str) -> None:
        log.warning("device %s of lease %s of %s: %s", uuid, lease.id, lease.ask.user[:80], text)
        self._notifier.tell(lease.ask.user, "device-trouble", text, lease.id)


def is_lost(device: Device | None) -> bool:
    """Whether nobody can work on the device."""
    return device is None or device.health is Health.LOST


def _text(device: Device | None, trouble: str) -> str:
    if not trouble:
        return "The GPU of your server that had failed is well again."
    cost = " While it is gone it costs you nothing." if is_lost(device) else ""
    return (
        f"A GPU of your server has failed: {trouble}. Save your work, then stop your server and "
        f"start it again: it gets another GPU.{cost}"
    )
