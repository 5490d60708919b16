"""The devices that a file describes, and those that fail or vanish on its command."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from mlhub.adapters.simulated.spec import MANUAL, Gpus, SimulatedNode, Spec, Use
from mlhub.core.devices import Device, Health
from mlhub.core.errors import BadInput
from mlhub.core.quantities import MIB_PER_GIB

NAMESPACE: Final = uuid.UUID("5f0f8d3e-6a55-4b0e-9d0b-0c4e3a1f7a11")


@dataclass(frozen=True, slots=True)
class Chip:
    """A simulated device and how it is used."""

    device: Device
    use: Use


def chips(spec: Spec, node: str) -> list[Chip]:
    """What is there, failing devices too; without what has vanished.

    Args:
        spec: what the file says.
        node: the name of the node that the file gives none.

    Raises:
        BadInput: something is to fail or vanish that the file does not describe.
    """
    every = [chip for row in spec.nodes for chip in _of_node(spec.seed, row, node)]
    named = _by_name(every, spec.nodes[0].name or node if spec.nodes else node)
    gone = {found.uuid for name in spec.vanish for found in _called(name, named, "vanish")}
    failing = {
        found.uuid: failure
        for failure in spec.failures
        for found in _called(failure.device, named, "failures")
    }
    return [
        _failed(chip, Health(failing[uid].health), failing[uid].trouble) if uid in failing else chip
        for chip in every
        if (uid := chip.device.uuid) not in gone
    ]


def _of_node(seed: int, row: SimulatedNode, node: str) -> Iterator[Chip]:
    """UUIDs follow from the count of the model, so that more of another model change none."""
    name = row.name or node
    of_model: Counter[str] = Counter()
    index = 0
    for gpus in row.gpus:
        for _ in range(gpus.count):
            whole = _uuid("GPU", seed, name, gpus.model, of_model[gpus.model])
            of_model[gpus.model] += 1
            device = Device(
                uuid=whole, node=name, model=gpus.model, memory=gpus.memory, index=index,
                sharing=gpus.sharing, shares=gpus.shares,
            )  # fmt: skip
            index += 1
            for unit in _divided(device, gpus):
                yield Chip(unit, gpus.use)


def _divided(whole: Device, gpus: Gpus) -> Iterator[Device]:
    """The whole GPU, or the MIG devices that it is divided into."""
    if not gpus.mig:
        yield whole
    for number, profile in enumerate(gpus.mig):
        gigabytes = int(profile.split("g.")[1].split("gb")[0])
        yield replace(
            whole, uuid=_uuid("MIG", whole.uuid, profile, number), profile=profile,
            parent=whole.uuid, memory=min(whole.memory, gigabytes * MIB_PER_GIB),
        )  # fmt: skip


def _by_name(every: list[Chip], first: str) -> dict[str, list[Device]]:
    """Each device by all that it may be called; a number alone is one of the first node."""
    names: dict[str, list[Device]] = {}
    for chip in every:
        device = chip.device
        called = [device.uuid, device.parent, f"{device.node}:{device.index}"]
        called.append(str(device.index) if device.node == first else None)
        for name in called:
            if name is not None:
                names.setdefault(name, []).append(device)
    return names


def _called(name: str | int, named: dict[str, list[Device]], where: str) -> list[Device]:
    if str(name) not in named:
        raise BadInput(where, f"there is no simulated device {str(name)[:80]!r}", MANUAL)
    return named[str(name)]


def _failed(chip: Chip, health: Health, trouble: str) -> Chip:
    return replace(chip, device=replace(chip.device, health=health, trouble=trouble))


def _uuid(kind: str, *words: object) -> str:
    return f"{kind}-{uuid.uuid5(NAMESPACE, '/'.join(map(str, words)))}"
