"""NVML as the broker's source of inventory and usage: one thread, time limits, restarts."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import pynvml

from mlhub.adapters.nvml.health import condition
from mlhub.adapters.nvml.library import MISSING, Nvml, NvmlError, words_for
from mlhub.adapters.nvml.units import Look, look
from mlhub.adapters.nvml.usage import OwnerOf, loads, uses
from mlhub.adapters.nvml.xids import XidWatch
from mlhub.broker.ports import Clock, DeviceLoad, DeviceUse
from mlhub.core.devices import Device, Health, Inventory, Node, with_missing
from mlhub.core.errors import InventoryUnavailable
from mlhub.core.health import Signs
from mlhub.lane import Lane

log = logging.getLogger(__name__)
T = TypeVar("T")
GPUS: Final = Path("/proc/driver/nvidia/gpus")
LOOK_ANEW: Final = 60.0  # seconds between two starts of NVML while a GPU is missing
_GONE: Final = "it is no longer there: it fell off the bus or was taken out"
_DIVIDED: Final = "it was divided into MIG devices"
_DIVIDED_ANEW: Final = "its GPU was divided anew"


class NvmlInventory:
    """The NVIDIA GPUs of this machine.

    A device that was ever seen and is there no more stays in the inventory as lost until it is
    back. Without a driver the inventory is empty, and `probe` says why.
    """

    def __init__(
        self, node: str, clock: Clock, owner_of: OwnerOf, *,
        library: Any = pynvml, timeout_s: float = 10.0, gpus: Path = GPUS,
        signs: Signs | None = None,
    ) -> None:  # fmt: skip
        """Nothing is asked yet.

        Args:
            node: the name of this machine's node.
            clock: what says when an inventory was taken.
            owner_of: a process's OS user and the lease in its environment, each "" if unknown.
            library: the module `pynvml`, or what has its functions.
            timeout_s: after so many seconds a driver that does not answer counts as failed.
            gpus: where the driver lists the GPUs that it drives.
            signs: what each sign of trouble means; default: as the table has it.
        """
        self.node = node
        self._clock = clock
        self._owner_of = owner_of
        self._timeout_s = timeout_s
        self._gpus = gpus
        self.signs = signs or Signs()
        self._xids = XidWatch()
        self._nvml = Nvml(library)
        self._lane = Lane("mlhub-nvml")
        self._known: dict[str, Device] = {}
        self._last: Look | None = None
        self._driven: set[str] = set()
        self._begun_at = 0.0

    def probe(self) -> str | None:
        """Why no NVIDIA driver can be used, or None. It waits: for a program's start."""
        try:
            self._lane.wait(self._start, timeout_s=self._timeout_s)
        except NvmlError as error:
            return words_for(error)
        except TimeoutError:
            return self._no_answer()
        return None

    def is_absent(self) -> bool:
        """Whether this machine has no NVIDIA driver at all. It waits: for a program's start.

        A driver that is there and fails, as after an upgrade until the next restart, is not absent.
        """
        try:
            return self._lane.wait(self._without_driver, timeout_s=self._timeout_s)
        except (NvmlError, TimeoutError):
            return False

    async def read(self) -> Inventory:
        """The inventory now, empty without a driver.

        Raises:
            InventoryUnavailable: the driver fails or does not answer.
        """
        return await self._do(self._read)

    async def processes(self) -> list[DeviceUse]:
        """Every process on every device. Raises as `read` does."""
        return await self._do(lambda: uses(self._nvml, self._looked().units, self._owner_of))

    async def load(self) -> list[DeviceLoad]:
        """How busy each device is. Raises as `read` does."""
        return await self._do(lambda: loads(self._nvml, self._looked().units))

    def close(self) -> None:
        """Let the driver and the thread go."""
        self._lane.close()

    async def _do(self, ask: Callable[[], T]) -> T:
        try:
            return await self._lane.do(lambda: self._safely(ask), timeout_s=self._timeout_s)
        except TimeoutError:
            raise InventoryUnavailable(self._no_answer()) from None

    def _safely(self, ask: Callable[[], T]) -> T:
        try:
            return ask()
        except NvmlError as error:
            self._stop()
            raise InventoryUnavailable(words_for(error)) from error

    def _no_answer(self) -> str:
        return f"the NVIDIA driver has not answered for {self._timeout_s:g} s"

    def _start(self) -> None:
        driven = _names_in(self._gpus)
        if driven != self._driven or self._is_time_to_look_anew():
            self._stop()
        if self._last is None:
            self._nvml.start()
            self._driven, self._begun_at = driven, time.monotonic()

    def _stop(self) -> None:
        self._xids.end(self._nvml)
        self._nvml.stop()
        self._last = None

    def _is_time_to_look_anew(self) -> bool:
        """NVML shows what was there when it was started; a GPU comes back with the next start."""
        if self._last is None or time.monotonic() - self._begun_at < LOOK_ANEW:
            return False
        well = {unit.device.uuid for unit in self._last.units if unit.device.usable}
        return not well.issuperset(self._known)

    def _look(self) -> Look:
        self._xids.take(self._nvml)
        self._start()
        before, self._last = self._last, look(self._nvml, self.node, self._examine)
        self._xids.begin(self._nvml, self._last.gpus.values())
        if self._last.silent and (before is None or before.silent != self._last.silent):
            log.warning("GPUs that do not answer, by number: %s", self._last.silent)
        for unit in self._last.units:
            _note(unit.device, self._known.get(unit.device.uuid))
            self._known[unit.device.uuid] = unit.device
        return self._last

    def _examine(self, gpu: Any, uuid: str) -> tuple[Health, str]:
        return condition(self._nvml, gpu, xids=self._xids.of(uuid), signs=self.signs)

    def _looked(self) -> Look:
        """The look of the last reading; without a driver an empty one."""
        if self._last:
            return self._last
        return Look() if self._without_driver() else self._look()

    def _without_driver(self) -> bool:
        """Whether there is no driver and never was one, which is no failure."""
        try:
            self._start()
        except NvmlError as error:
            if error.value in MISSING and not self._known:
                return True
            raise
        return False

    def _read(self) -> Inventory:
        if self._without_driver():
            return Inventory((), (), self._clock.now())
        seen = self._look()
        devices = with_missing(
            (unit.device for unit in seen.units),
            self._known.values(),
            lambda device: _why_missing(device, seen),
        )
        return Inventory((Node(self.node),), devices, self._clock.now())


def _note(device: Device, before: Device | None) -> None:
    """Tell those who run the machine, once, what is wrong with a device and when it is well."""
    said = device.trouble or device.warning
    if said != ((before.trouble or before.warning) if before else ""):
        log.warning("GPU %d (%s): %s", device.index, device.uuid, said or "it is well again")


def _why_missing(device: Device, seen: Look) -> str:
    if device.uuid in seen.gpus:
        return _DIVIDED
    if device.parent in seen.gpus:
        return _DIVIDED_ANEW
    return seen.silent.get(device.index, _GONE)


def _names_in(folder: Path) -> set[str]:
    try:
        return {entry.name for entry in folder.iterdir()}
    except OSError:
        return set()
