"""Simulated devices as the broker's source of inventory and usage."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, Protocol, TypeVar

from mlhub.adapters.simulated.chips import Chip, chips
from mlhub.adapters.simulated.curves import load_of
from mlhub.adapters.simulated.spec import DEFAULT, Spec, read_spec
from mlhub.broker.ports import Clock, DeviceLoad, DeviceUse
from mlhub.core.devices import Device, Inventory, Node, with_missing
from mlhub.core.errors import BadInput, InventoryUnavailable
from mlhub.lane import Lane

log = logging.getLogger(__name__)
T = TypeVar("T")
SHORTEST: Final = 8  # characters of a UUID that CUDA_VISIBLE_DEVICES may be cut down to


class Running(Protocol):
    """One process of this machine."""

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
        """CUDA_VISIBLE_DEVICES of its environment: UUIDs with commas between."""

    @property
    def age(self) -> float:
        """Seconds since it began."""


class Processes(Protocol):
    """Where processes are looked up."""

    def scan(self) -> Iterable[Running]:
        """Every process of this machine.

        Raises:
            OSError: they cannot be listed.
        """


class SimulatedInventory:
    """GPUs from a file that is read again whenever it changes.

    Their UUIDs follow from seed, node, model and number: they are the same at each start. A
    device that was ever there and is there no more is lost until it is back, as with real ones.
    """

    def __init__(
        self, node: str, clock: Clock, processes: Processes | None = None, *,
        file: Path | None = None, spec: Spec = DEFAULT, timeout_s: float = 10.0,
    ) -> None:  # fmt: skip
        """Simulate what a file says.

        Args:
            node: the name of the node that the file gives none.
            clock: what says when an inventory was taken, and how long a device has been used.
            processes: where the processes are seen that name a simulated device.
            file: the file; None simulates `spec`.
            spec: what is simulated without a file.
            timeout_s: after so many seconds without an answer the GPUs count as unavailable.

        Raises:
            BadInput: something in the file is wrong.
        """
        self._node = node
        self._clock = clock
        self._processes = processes
        self._file = file
        self._timeout_s = timeout_s
        self._lane = Lane("mlhub-simulated")
        self._stamp = _stamp(file)
        self._devices: tuple[Device, ...] = ()
        self._begun: dict[tuple[str, str], float] = {}
        self._simulate(read_spec(file) if file else spec)

    @classmethod
    def empty(cls, clock: Clock) -> SimulatedInventory:
        """A machine without GPUs; that is no simulation."""
        return cls("this-machine", clock, spec=Spec())

    async def read(self) -> Inventory:
        """What is simulated now.

        Raises:
            InventoryUnavailable: the file says that the driver fails, or is wrong.
        """
        return await self._do(self._read)

    async def processes(self) -> list[DeviceUse]:
        """The processes whose environment names a simulated device. Raises as `read` does."""
        return await self._do(
            lambda: [
                DeviceUse(device.uuid, row.pid, row.user, lease_id=row.lease_id)
                for device, row in self._uses()
            ]
        )

    async def load(self) -> list[DeviceLoad]:
        """How busy each device is: idle until a process names it. Raises as `read` does."""
        return await self._do(self._load)

    def close(self) -> None:
        """Let the thread go."""
        self._lane.close()

    async def _do(self, ask: Callable[[], T]) -> T:
        try:
            return await self._lane.do(ask, timeout_s=self._timeout_s)
        except OSError as error:
            why = error or "no answer"
            raise InventoryUnavailable(f"the simulated GPUs cannot be read: {why}") from error

    def _simulate(self, spec: Spec) -> None:
        """Take over what a file says; when something in it is wrong, all stays as it was.

        Raises:
            BadInput: it names a device that it does not describe.
        """
        try:
            self._chips = chips(spec, self._node)
        except BadInput as error:
            where = f"{self._file}: {error.field}" if self._file else error.field
            raise BadInput(where, error.problem, error.remedy) from error
        self._spec = spec
        self._devices = with_missing(
            (chip.device for chip in self._chips),
            self._devices,
            lambda device: "it is no longer there (simulated)",
        )

    def _renew(self) -> None:
        """Read the file again if it changed; a wrong one is as a driver that fails."""
        stamp = _stamp(self._file)
        if self._file is not None and stamp != self._stamp:
            try:
                self._simulate(read_spec(self._file))
            except BadInput as error:
                raise InventoryUnavailable(str(error)) from error
            self._stamp = stamp
            log.info("the simulated GPUs were read again from %s", self._file)
        if self._spec.fail:
            raise InventoryUnavailable(self._spec.fail)

    def _read(self) -> Inventory:
        self._renew()
        nodes = tuple(
            Node(row.name or self._node, row.labels, row.schedulable, row.trouble)
            for row in self._spec.nodes
        )
        return Inventory(nodes, self._devices, self._clock.now(), simulated=bool(nodes))

    def _uses(self) -> list[tuple[Device, Running]]:
        self._renew()
        there = [chip.device for chip in self._chips]
        running = self._processes.scan() if self._processes else ()
        return [
            (device, row)
            for row in running
            if row.visible
            for device in there
            if _names(row.visible, device.uuid)
        ]

    def _load(self) -> list[DeviceLoad]:
        ages: dict[tuple[str, str], float] = {}
        for device, row in self._uses():
            user = (device.uuid, row.lease_id or f"process {row.pid}")
            ages[user] = max(ages.get(user, 0.0), row.age)
        now = self._clock.monotonic()
        self._begun = {user: self._begun.get(user, now - age) for user, age in ages.items()}
        return [load_of(chip, self._ages_on(chip, now), self._spec.seed) for chip in self._chips]

    def _ages_on(self, chip: Chip, now: float) -> list[float]:
        begun = self._begun.items()
        return [now - began for (uuid, _), began in begun if uuid == chip.device.uuid]


def _names(visible: str, uuid: str) -> bool:
    """Whether CUDA would take one of the words for that device: it may be the UUID's beginning."""
    words = (word.strip() for word in visible.split(","))
    return any(len(word) >= SHORTEST and uuid.startswith(word) for word in words)


def _stamp(file: Path | None) -> tuple[int, int, int] | None:
    """Another one after each change of the file; None while it is not there."""
    try:
        found = file.stat() if file else None
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino) if found else None
