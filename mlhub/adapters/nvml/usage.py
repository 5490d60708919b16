"""What runs on the units and how busy they are; what NVML does not say is unknown, never idle."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, Final

from mlhub.adapters.nvml.library import Nvml, NvmlError, is_of_one_gpu
from mlhub.adapters.nvml.units import MIB, Unit, memory_of
from mlhub.broker.ports import DeviceLoad, DeviceUse

OwnerOf = Callable[[int], tuple[str, str]]
_NO_INSTANCE: Final = 0xFFFFFFFF
_LISTS: Final = (  # in this order: what computes and draws counts as computing
    ("nvmlDeviceGetGraphicsRunningProcesses_v3", True),
    ("nvmlDeviceGetComputeRunningProcesses_v3", False),
)


def uses(nvml: Nvml, units: Iterable[Unit], owner_of: OwnerOf) -> list[DeviceUse]:
    """Every process on every unit. Of a GPU that does not answer none is known."""
    known = cache(owner_of)
    return [use for unit in units for use in _quietly(_uses_of, nvml, unit, known) or ()]


def loads(nvml: Nvml, units: Iterable[Unit]) -> list[DeviceLoad]:
    """How busy each unit is."""
    unknown = (None, None)
    rows = ((unit, _quietly(_load_of, nvml, unit) or unknown) for unit in units)
    return [DeviceLoad(unit.device.uuid, *row) for unit, row in rows]


def _quietly(read: Callable[..., Any], nvml: Nvml, unit: Unit, *more: object) -> Any | None:
    try:
        return read(nvml, unit, *more)
    except NvmlError as error:
        if is_of_one_gpu(error):
            return None
        raise


def _uses_of(nvml: Nvml, unit: Unit, owner_of: OwnerOf) -> list[DeviceUse]:
    found: dict[int, DeviceUse] = {}
    for function, graphics in _LISTS:
        for row in nvml.maybe(function, unit.handle) or ():
            if _is_of(unit, row):
                user, lease_id = owner_of(row.pid)
                memory = None if row.usedGpuMemory is None else row.usedGpuMemory // MIB
                found[row.pid] = DeviceUse(
                    unit.device.uuid, row.pid, user, memory, lease_id, graphics
                )
    return list(found.values())


def _is_of(unit: Unit, row: Any) -> bool:
    """Whether a process is of this MIG device; some drivers list those of the whole chip."""
    if unit.instance is None or row.gpuInstanceId == _NO_INSTANCE:
        return True
    return unit.instance == (row.gpuInstanceId, row.computeInstanceId)


def _load_of(nvml: Nvml, unit: Unit) -> tuple[float | None, int | None]:
    memory = memory_of(nvml, unit.handle)
    used = memory.used // MIB if memory else None
    if unit.instance:
        return None, used
    rates = nvml.maybe("nvmlDeviceGetUtilizationRates", unit.handle)
    return (float(rates.gpu) if rates else None), used
