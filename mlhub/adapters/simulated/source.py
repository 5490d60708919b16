"""Simulated devices as an inventory and as a source of use."""

from __future__ import annotations

import asyncio
import logging
import math
import uuid
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Protocol

from mlhub.adapters.simulated.spec import DEFAULT, Gpus, Spec, read_spec
from mlhub.broker.ports import Clock, DeviceLoad, DeviceUse
from mlhub.core.devices import Device, Health, Inventory, MigProfile, Node, with_missing
from mlhub.core.errors import BadInput, InventoryUnavailable

log = logging.getLogger(__name__)
NAMESPACE: Final = uuid.UUID("5f0f8d3e-6a55-4b0e-9d0b-0c4e3a1f7a11")


class Running(Protocol):
    """One process: `visible` is the CUDA_VISIBLE_DEVICES of its environment."""

    @property
    def pid(self) -> int:
        """Its number."""

    @property
    def user(self) -> str:
        """The OS user that it belongs to."""

    @property
    def lease_id(self) -> str:
        """The lease in its environment, "" if there is none."""

    @property
    def visible(self) -> str:
        """The devices in its environment, with commas between."""


class Processes(Protocol):
    """Where processes are looked up."""

    def scan(self) -> Sequence[Running]:
        """Every process of this machine."""


class SimulatedInventory:
    """GPUs from a file that is read again whenever it changes.

    Their UUIDs follow from node, model and number: they are the same at each start.
    """

    def __init__(
        self, node: str, clock: Clock, processes: Processes | None = None, *,
        file: Path | None = None, spec: Spec = DEFAULT,
    ) -> None:  # fmt: skip
        """Simulate what a file says.

        Args:
            node: the name of a node that the file gives none.
            clock: what says when an inventory was taken, and moves the curves of use.
            processes: where the processes are seen that name a simulated device.
            file: the file; None simulates `spec`.
            spec: what is simulated without a file.

        Raises:
            BadInput: something in the file is wrong.
        """
        self._node = node
        self._clock = clock
        self._processes = processes
        self._file = file
        self._stamp: tuple[int, int] | None = None
        self._spec = spec
        self._known: tuple[Device, ...] = ()
        if file is not None:
            self._spec = read_spec(file)
            self._stamp = _stamp(file)

    @classmethod
    def empty(cls, clock: Clock) -> SimulatedInventory:
        """A machine without GPUs."""
        return cls("this-machine", clock, spec=Spec())

    async def read(self) -> Inventory:
        """What is simulated now.

        Raises:
            InventoryUnavailable: the file says that the driver fails, or is wrong.
        """
        self._renew()
        if self._spec.fail:
            raise InventoryUnavailable(self._spec.fail)
        seen = tuple(self._devices())
        self._known = with_missing(seen, self._known, lambda _: "it is no longer there (simulated)")
        nodes = tuple(
            Node(row.name or self._node, row.labels, row.schedulable, row.trouble)
            for row in self._spec.nodes
        )
        simulated = bool(self._known)
        return Inventory(nodes, self._known, self._clock.now(), simulated=simulated)

    async def processes(self) -> list[DeviceUse]:
        """The processes whose environment names a simulated device."""
        if self._processes is None:
            return []
        known = {device.uuid for device in self._known}
        running = await asyncio.to_thread(self._processes.scan)
        return [
            DeviceUse(uuid, row.pid, row.user, lease_id=row.lease_id)
            for row in running
            for uuid in row.visible.split(",")
            if uuid in known
        ]

    async def load(self) -> list[DeviceLoad]:
        """How busy each device is: after its curve while something runs on it, else idle."""
        held = {row.device for row in await self.processes()}
        return [
            DeviceLoad(device.uuid, None, None)
            if device.health is not Health.OK
            else self._load(device, gpus, busy=device.uuid in held)
            for gpus, device in self._all()
        ]

    def _load(self, device: Device, gpus: Gpus, *, busy: bool) -> DeviceLoad:
        if not busy:
            return DeviceLoad(device.uuid, None if device.profile else 0.0, 0)
        use = gpus.use
        phase = zlib.crc32(device.uuid.encode()) % 1000 / 1000
        at = (self._clock.monotonic() / use.period + phase) % 1
        wave = 1 + 0.1 * math.sin(at * 40)
        percent = min(100.0, use.busy * wave) if at < use.duty else 0.0
        memory = round(device.memory * 0.6)
        return DeviceLoad(device.uuid, None if device.profile else round(percent, 1), memory)

    def _renew(self) -> None:
        """Read the file again if it changed; a wrong one is as a driver that fails."""
        if self._file is None:
            return
        stamp = _stamp(self._file)
        if stamp == self._stamp:
            return
        try:
            self._spec = read_spec(self._file)
        except BadInput as error:
            raise InventoryUnavailable(str(error)) from error
        self._stamp = stamp
        log.info("the simulated GPUs were read again from %s", self._file)

    def _all(self) -> Iterator[tuple[Gpus, Device]]:
        for node in self._spec.nodes:
            index = 0
            for gpus in node.gpus:
                for _ in range(gpus.count):
                    for device in _divided(node.name or self._node, gpus, index):
                        yield gpus, device
                    index += 1

    def _devices(self) -> Iterator[Device]:
        first = self._first_node()
        broken = {_full(row.device, first): row for row in self._spec.failures}
        gone = {_full(name, first) for name in self._spec.vanish}
        for _, device in self._all():
            names = {device.uuid, f"{device.node}:{device.index}", device.parent or ""}
            if names & gone:
                continue
            failed = next((broken[name] for name in names if name in broken), None)
            yield _failing(device, Health(failed.health), failed.trouble) if failed else device

    def _first_node(self) -> str:
        return next((row.name for row in self._spec.nodes if row.name), self._node)


def _full(name: str, node: str) -> str:
    """``3`` is the third device of the first node."""
    return f"{node}:{name}" if name.isdecimal() else name


def _failing(device: Device, health: Health, trouble: str) -> Device:
    values = {name: getattr(device, name) for name in device.__slots__}
    return Device(**values | {"health": health, "trouble": trouble})


def _divided(node: str, gpus: Gpus, index: int) -> Iterator[Device]:
    """A whole GPU, or the MIG devices that it is divided into."""
    whole = _uuid("GPU", node, gpus.model, index)
    if not gpus.mig:
        yield Device(
            uuid=whole, node=node, model=gpus.model, memory=gpus.memory, index=index,
            sharing=gpus.sharing, shares=gpus.shares,
        )  # fmt: skip
    for number, name in enumerate(gpus.mig):
        memory = min(gpus.memory, int(name.split(".")[1].split("gb")[0]) * 1024)
        yield Device(
            uuid=_uuid("MIG", node, gpus.model, index, number), node=node, model=gpus.model,
            memory=memory, index=index, profile=MigProfile(name).name, parent=whole,
            sharing=gpus.sharing, shares=gpus.shares,
        )  # fmt: skip


def _uuid(kind: str, *words: object) -> str:
    return f"{kind}-{uuid.uuid5(NAMESPACE, '/'.join(map(str, words)))}"


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
