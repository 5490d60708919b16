"""What exists: devices, MIG profiles, nodes, flavors, and the inventory of an instant."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cached_property
from itertools import chain, count
from types import MappingProxyType

from mlhub.core.errors import BadInput


class Sharing(StrEnum):
    """How one chip serves several leases at once; ``none`` means that it does not."""

    NONE = "none"
    TIME_SLICING = "time-slicing"
    MPS = "mps"


class Health(StrEnum):
    """Whether a device may be given out; only ``ok`` may."""

    OK = "ok"
    SICK = "sick"
    LOST = "lost"


_MIG_PROFILE = re.compile(r"(?:[1-7]c\.)?[1-7]g\.\d{1,3}gb(?:[+-][a-z]+(?:\.[a-z]+)?)?")


@dataclass(frozen=True, slots=True)
class MigProfile:
    """The shape of a MIG device, such as ``1g.10gb``: compute slices and memory in GB.

    Also those with extras (``1g.10gb+me``, ``1g.24gb-me``, ``2g.48gb+me.all``) and those that have
    only a part of their instance's compute slices (``1c.3g.40gb``), as nvidia-smi writes them.
    """

    name: str

    def __post_init__(self) -> None:
        if not _MIG_PROFILE.fullmatch(self.name):
            raise BadInput("profile", f"{self.name[:40]!r} is no MIG profile", "such as 1g.10gb")

    @property
    def slices(self) -> int:
        """Compute slices of the chip that it takes, of at most 7."""
        return int(self.name[0])

    @property
    def resource(self) -> str:
        """The name that Kubernetes' device plugin gives to it."""
        return f"nvidia.com/mig-{self.name.replace('+', '.')}"


@dataclass(frozen=True, slots=True)
class Device:
    """One allocatable unit with a UUID: a whole GPU or a MIG device.

    Attributes:
        uuid: NVML's, ``GPU-…`` or ``MIG-…``.
        node: the name of the node that it is in.
        model: what the driver calls the chip, such as ``NVIDIA A100 80GB PCIe``.
        memory: MiB.
        index: its place on its node, for people (``nvidia-smi``'s number).
        profile: the MIG profile's name, or None for a whole GPU.
        parent: the whole GPU's UUID, for a MIG device.
        sharing: how it is shared; with it, ``shares`` leases fit at once.
        health: whether it may be given out, and in ``trouble`` why not.
        warning: what those who run the machine should know of one that may be given out.
    """

    uuid: str
    node: str
    model: str
    memory: int
    index: int = 0
    profile: str | None = None
    parent: str | None = None
    sharing: Sharing = Sharing.NONE
    shares: int = 1
    health: Health = Health.OK
    trouble: str = ""
    warning: str = ""

    @property
    def usable(self) -> bool:
        """Whether a new lease may have it."""
        return self.health is Health.OK


@dataclass(frozen=True, slots=True)
class Node:
    """A machine with devices.

    Attributes:
        labels: as Kubernetes has them; empty on one machine.
        schedulable: False while it is cordoned, drained or not ready; ``trouble`` says why.
    """

    name: str
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    schedulable: bool = True
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Flavor:
    """A named class of devices and nodes (Kueue's ResourceFlavor).

    Attributes:
        name: a slug, ``[a-z0-9][a-z0-9.-]*``.
        model: a shell pattern over the device's model; ``*`` is any.
        profile: the MIG profile's name that its devices have, or None for whole GPUs.
        memory: MiB of one device, for people and for limits; 0 when it is not known.
        resource: what Kubernetes calls one of it, and what a profile's limits name.
        selector: node labels that its nodes have.
        price: credits for one device and hour.
        max_count: the most devices of it that one claim may ask for; None is no bound.
    """

    name: str
    display_name: str
    model: str = "*"
    profile: str | None = None
    sharing: Sharing = Sharing.NONE
    memory: int = 0
    resource: str = "nvidia.com/gpu"
    selector: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    price: Decimal = Decimal(0)
    description: str = ""
    max_count: int | None = None

    def takes(self, device: Device, node: Node | None) -> bool:
        """Whether the device, on that node, is one of this flavor."""
        labels = node.labels if node else {}
        return (
            device.profile == self.profile
            and device.sharing == self.sharing
            and fnmatchcase(device.model.casefold(), self.model.casefold())
            and all(labels.get(key) == value for key, value in self.selector.items())
        )


@dataclass(frozen=True, slots=True)
class Stock:
    """The devices of an inventory as flavors.

    Attributes:
        flavors: in the order in which they are shown, each with its largest device's memory.
        devices: of each flavor, by its name; a device counts for the first that takes it.
    """

    flavors: tuple[Flavor, ...]
    devices: Mapping[str, tuple[Device, ...]]


@dataclass(frozen=True)
class Inventory:
    """What exists at an instant. What follows from it is worked out once: many decisions need it.

    Attributes:
        taken_at: when the hardware said so; aware, UTC.
        simulated: True when none of it is real.
        problem: why the data may be out of date; empty when it is not.
    """

    nodes: tuple[Node, ...]
    devices: tuple[Device, ...]
    taken_at: datetime
    simulated: bool = False
    problem: str = ""

    @property
    def unread(self) -> bool:
        """Whether the hardware never answered, so that nothing is known of what there is."""
        return bool(self.problem) and not self.nodes

    @cached_property
    def kinds(self) -> tuple[Flavor, ...]:
        """A flavor for each kind of device that is there."""
        return flavors_of(self.devices)

    @cached_property
    def _stocks(self) -> dict[int, tuple[tuple[Flavor, ...], Stock]]:
        """By the `id` of the flavors that were asked about, which are kept so that it stays so."""
        return {}

    def stock(self, flavors: tuple[Flavor, ...]) -> Stock:
        """The devices as these flavors."""
        if id(flavors) not in self._stocks:
            self._stocks[id(flavors)] = flavors, _stock(self, flavors)
        return self._stocks[id(flavors)][1]


def _stock(inventory: Inventory, flavors: tuple[Flavor, ...]) -> Stock:
    nodes = {node.name: node for node in inventory.nodes}
    found: dict[str, list[Device]] = {flavor.name: [] for flavor in flavors}
    for device in inventory.devices:
        node = nodes.get(device.node)
        taker = next((flavor for flavor in flavors if flavor.takes(device, node)), None)
        if taker:
            found[taker.name].append(device)
    return Stock(
        flavors=tuple(_with_memory(flavor, found[flavor.name]) for flavor in flavors),
        devices={name: tuple(devices) for name, devices in found.items()},
    )


def _with_memory(flavor: Flavor, devices: list[Device]) -> Flavor:
    """The flavor with no less memory than one may get: limits are held against what is given."""
    most = max((device.memory // device.shares for device in devices), default=0)
    return flavor if most <= flavor.memory else replace(flavor, memory=most)


def with_missing(
    seen: Iterable[Device], known: Iterable[Device], why: Callable[[Device], str]
) -> tuple[Device, ...]:
    """The devices that were seen now, and as lost those that were known before and are not there.

    Args:
        seen: what the hardware shows now.
        known: what it has ever shown, as it was then.
        why: what to tell people of a device that is missing.
    """
    there = tuple(seen)
    uuids = {device.uuid for device in there}
    missing = (
        replace(device, health=Health.LOST, trouble=why(device), warning="")
        for device in known
        if device.uuid not in uuids
    )
    return tuple(sorted((*there, *missing), key=lambda device: (device.node, device.index)))


def flavor_name(model: str, profile: str | None = None) -> str:
    """A slug for a driver's name: ``NVIDIA A100 80GB PCIe`` is ``a100-80gb-pcie``."""
    words = re.sub(r"^(nvidia|tesla|geforce)\s+", "", model.strip().lower())
    words = re.sub(r"^(tesla|geforce)\s+", "", words)
    slug = re.sub(r"[^a-z0-9.]+", "-", words).strip("-.") or "gpu"
    return f"{slug}-{profile.replace('+', '.')}" if profile else slug


def flavors_of(devices: Iterable[Device]) -> tuple[Flavor, ...]:
    """One flavor for each model, MIG profile and sharing that is there; each has its own name."""
    kinds: dict[tuple[str, str | None, Sharing], list[Device]] = {}
    for device in devices:
        key = (device.model.casefold(), device.profile, device.sharing)
        kinds.setdefault(key, []).append(device)
    names: set[str] = set()
    found = []
    for alike in kinds.values():
        flavor = _flavor_for(alike)
        name = next(name for name in _names_like(flavor.name) if name not in names)
        names.add(name)
        found.append(replace(flavor, name=name))
    return tuple(found)


def _names_like(name: str) -> Iterator[str]:
    """The name, and with numbers: two models may differ in what a name cannot hold."""
    return chain((name,), (f"{name}-{number}" for number in count(2)))


def _flavor_for(alike: list[Device]) -> Flavor:
    device = alike[0]
    label = re.sub(r"^NVIDIA\s+", "", device.model)
    shared = device.sharing is not Sharing.NONE
    resource = MigProfile(device.profile).resource if device.profile else "nvidia.com/gpu"
    return Flavor(
        name=flavor_name(device.model, device.profile) + ("-shared" if shared else ""),
        display_name=f"{label} {device.profile}" if device.profile else label,
        model=re.sub(r"([\[\]*?])", r"[\1]", device.model),
        profile=device.profile,
        sharing=device.sharing,
        # The most that one may have: chips of one model differ when error correction is off.
        memory=max(row.memory // row.shares for row in alike),
        resource=resource + (".shared" if shared else ""),
    )
