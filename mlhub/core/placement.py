"""Which node and which devices a claim gets: all on one node, best fit first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mlhub.core.claims import Placement
from mlhub.core.devices import Device, Inventory


def free_units(devices: Iterable[Device], taken: Mapping[str, int]) -> dict[str, int]:
    """How many more leases each usable device can serve, by UUID; full ones are left out."""
    left = {d.uuid: d.shares - taken.get(d.uuid, 0) for d in devices if d.usable}
    return {uuid: units for uuid, units in left.items() if units > 0}


def with_room(devices: Iterable[Device], taken: Mapping[str, int]) -> tuple[Device, ...]:
    """The usable devices that can serve at least one more lease."""
    return tuple(d for d in devices if d.usable and taken.get(d.uuid, 0) < d.shares)


def open_devices(devices: Iterable[Device], inventory: Inventory) -> tuple[Device, ...]:
    """The devices that a new lease may have: healthy, on a node that takes work."""
    closed = {node.name for node in inventory.nodes if not node.schedulable}
    return tuple(device for device in devices if device.usable and device.node not in closed)


def place(devices: Iterable[Device], count: int, taken: Mapping[str, int]) -> Placement | None:
    """The placement of a claim for `count` devices, or None when no node has as many free.

    Best fit, as in bin packing: the node that keeps the fewest free devices, so that large
    claims find whole nodes later. Among a node's devices, a shared one that already serves
    somebody goes first, and then siblings of one chip stay together.
    """
    rows = tuple(devices)
    free = free_units(rows, taken)
    by_node: dict[str, list[Device]] = {}
    for device in rows:
        if device.uuid in free:
            by_node.setdefault(device.node, []).append(device)
    fitting = [(len(found), node) for node, found in by_node.items() if len(found) >= count]
    if not fitting or count < 1:
        return None
    _, node = min(fitting)
    chosen = sorted(_pick(by_node[node], count, free, taken), key=lambda device: device.uuid)
    shares = tuple(device.shares for device in chosen)
    return Placement(
        node=node,
        devices=tuple(device.uuid for device in chosen),
        memory=sum(device.memory // device.shares for device in chosen),
        shares=shares if max(shares) > 1 else (),
    )


def _pick(
    devices: list[Device], count: int, free: Mapping[str, int], taken: Mapping[str, int]
) -> list[Device]:
    siblings: dict[str | None, int] = {}
    for device in devices:
        siblings[device.parent] = siblings.get(device.parent, 0) + 1
    ordered = sorted(
        devices,
        key=lambda d: (
            -taken.get(d.uuid, 0),  # a chip that is shared already before an empty one
            free[d.uuid],
            siblings[d.parent] if d.parent else 0,  # the chip with the fewest MIG devices left
            d.parent or "",
            d.index,
            d.uuid,
        ),
    )
    return ordered[:count]


def largest(devices: Iterable[Device]) -> int:
    """The most devices that one node has, sick ones too: what one claim can ever get."""
    count: dict[str, int] = {}
    for device in devices:
        count[device.node] = count.get(device.node, 0) + 1
    return max(count.values(), default=0)
