"""What exists and what is free, and who waits for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from hub_services.quota.account_api import mine_of
from hub_services.quota.answers import (
    DeviceView,
    FlavorView,
    HolderView,
    InventoryView,
    NodeView,
    QueuePage,
    WaitingView,
)
from hub_services.quota.asks import InventoryQuery, QueueQuery
from hub_services.quota.identity import Identity
from hub_services.quota.routes import Call, Reply
from hub_services.quota.scene import Picture, Scene
from hub_services.quota.views import flavor_view, waiting_view
from mlhub.broker.outlook import Outlook
from mlhub.broker.ports import DeviceLoad
from mlhub.core.availability import DeviceState, FlavorState
from mlhub.core.devices import Device
from mlhub.core.leases import Lease
from mlhub.core.policy import Limit
from mlhub.core.queue import ordered
from mlhub.core.quotas import why_never

Fits = Callable[[str, str | None, str], bool]  # of a device's UUID, flavor and state
Names = Mapping[str, tuple[str | None, DeviceState]]


@dataclass(frozen=True, slots=True)
class Found:
    """Some of the devices, and how many there are.

    Attributes:
        nodes: one part of the nodes, with those of their devices that fit.
        fitting: how many nodes have devices that fit.
        machines: how many nodes there are.
        states: how many of all devices are in each state.
    """

    nodes: list[NodeView]
    fitting: int
    machines: int
    states: Counter[str]


async def find(call: Call, fits: Fits, part: slice) -> Found:
    """The devices that fit, as the asker may see them; only those of `part` are looked up."""
    scene, picture = await call.service.look(), call.service.picture
    loads = await picture.load(call.service.usage)
    names = _names(scene, picture.flavors(scene))
    states = Counter(str(names[device.uuid][1]) for device in scene.inventory.devices)
    rows: dict[str, list[Device]] = {}
    for device in scene.inventory.devices:
        flavor, state = names[device.uuid]
        if fits(device.uuid, flavor, str(state)):
            rows.setdefault(device.node, []).append(device)
    shown = dict(list(rows.items())[part])
    nodes = _views(scene, names, call.who, loads, shown)
    return Found(nodes, len(rows), len(scene.inventory.nodes), states)


async def inventory(call: Call) -> Reply:
    """Every flavor and device as it stands for the asker."""
    scene, picture = await call.service.look(), call.service.picture
    states, who, outlook = picture.flavors(scene), call.who, call.service.broker.outlook
    query: InventoryQuery = call.query or InventoryQuery()
    loads = await picture.load(call.service.usage) if query.devices else {}
    return Reply(
        InventoryView(
            now=scene.now, taken_at=_taken_at(call, scene), simulated=scene.inventory.simulated,
            problem=scene.inventory.problem,
            flavors=_flavors(scene, picture, who),
            nodes=_nodes(scene, states, who, loads) if query.devices else [],
            mine=mine_of(scene, outlook, who) if query.mine and who.user else None,
        )
    )  # fmt: skip


def _taken_at(call: Call, scene: Scene) -> datetime:
    """When the hardware last answered, by the ledger's time."""
    age = call.service.broker.hardware.age
    return scene.inventory.taken_at if age is None else scene.now - timedelta(seconds=age)


def _flavors(scene: Scene, picture: Picture, who: Identity) -> list[FlavorView]:
    """All flavors as they stand for the asker; made once for all who have the same rights."""
    states, policy = picture.flavors(scene), scene.policy
    limit = policy.limit_for(who.user, who.groups) if who.user else Limit()
    rights = (policy.priority(who.groups), limit)
    if rights not in picture.shown:
        picture.shown[rights] = [_flavor(scene, picture, state, rights) for state in states]
    return picture.shown[rights]


def _flavor(
    scene: Scene, picture: Picture, state: FlavorState, rights: tuple[int, Limit]
) -> FlavorView:
    priority, limit = rights
    coming = picture.forecast(scene, state.flavor.name, priority)
    why = why_never(limit, state.flavor)
    if not state.max_count:
        why = why or f"There is no {state.flavor.display_name} here."
    return flavor_view(state, coming, why)


def _nodes(
    scene: Scene,
    states: tuple[FlavorState, ...],
    who: Identity,
    loads: Mapping[str, DeviceLoad],
) -> list[NodeView]:
    rows: dict[str, list[Device]] = {node.name: [] for node in scene.inventory.nodes}
    for device in scene.inventory.devices:
        rows.setdefault(device.node, []).append(device)
    return _views(scene, _names(scene, states), who, loads, rows)


def _names(scene: Scene, states: Iterable[FlavorState]) -> Names:
    """Each device's flavor and state."""
    none: dict[str, tuple[str | None, DeviceState]] = {
        device.uuid: (None, DeviceState.OUT_OF_SERVICE) for device in scene.inventory.devices
    }
    return none | {
        uuid: (row.flavor.name, state) for row in states for uuid, state in row.devices.items()
    }


def _views(
    scene: Scene,
    names: Names,
    who: Identity,
    loads: Mapping[str, DeviceLoad],
    rows: Mapping[str, list[Device]],
) -> list[NodeView]:
    """These devices as the asker may see them, node by node."""
    holders, found = _holders(scene, who), {}
    for node, devices in rows.items():
        found[node] = [
            _device(row, *names[row.uuid], holders.get(row.uuid), loads.get(row.uuid)).model_copy(
                update={"warning": row.warning if who.operator else ""}
            )
            for row in devices
        ]
    nodes = {node.name: node for node in scene.inventory.nodes}
    return [
        NodeView(
            name=name, schedulable=name in nodes and nodes[name].schedulable,
            trouble=nodes[name].trouble if name in nodes else "", devices=devices,
        )
        for name, devices in found.items()
    ]  # fmt: skip


def _holders(scene: Scene, who: Identity) -> dict[str, Lease]:
    """The lease on each device that the asker may know of; of a shared one their own first."""
    leases = sorted(
        scene.ledger.leases.values(), key=lambda row: (who.is_user(row.ask.user), row.granted_at)
    )
    return {
        uuid: lease
        for lease in leases
        if who.may_see(lease.ask.user)
        for uuid in lease.placement.devices
    }


def _device(
    device: Device,
    flavor: str | None,
    state: DeviceState,
    lease: Lease | None,
    load: DeviceLoad | None,
) -> DeviceView:
    holder = lease and HolderView(
        user=lease.ask.user, server=lease.ask.server, since=lease.started_at or lease.granted_at
    )
    return DeviceView(
        uuid=device.uuid, index=device.index, model=device.model, memory_mib=device.memory,
        profile=device.profile, sharing=str(device.sharing), shares=device.shares, flavor=flavor,
        state=str(state), trouble=device.trouble, warning="",
        holder=holder,
        utilisation=load.utilisation if load else None,
        memory_used_mib=load.memory_used if load else None,
    )  # fmt: skip


async def queue(call: Call) -> Reply:
    """Who waits, flavor by flavor, in the order of each queue."""
    query: QueueQuery = call.query
    rows = queued(await call.service.look(), call.service.broker.outlook, call.who)
    part = rows[query.after : query.after + query.limit]
    end = query.after + len(part)
    return Reply(QueuePage(items=part, next=end if end < len(rows) else None))


def queued(scene: Scene, outlook: Outlook, who: Identity) -> list[WaitingView]:
    """All waiting claims as the asker may see them."""
    ledger, rows = scene.ledger, []
    for flavor in sorted({claim.ask.flavor for claim in ledger.waiting()}):
        line = outlook.line(flavor, ledger)
        for place, claim in enumerate(ordered(ledger.waiting(flavor)), 1):
            rows.append(waiting_view(claim, place, line.forecasts.get(claim.id), who))
    return rows
