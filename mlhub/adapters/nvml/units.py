"""The allocatable units of a machine: whole GPUs, and the MIG devices of those in MIG mode."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

import pynvml

from mlhub.adapters.nvml.library import Nvml, NvmlError, is_of_one_gpu, words_for
from mlhub.core.devices import Device, Health, MigProfile
from mlhub.core.errors import BadInput

log = logging.getLogger(__name__)
Examine = Callable[[Any, str], tuple[Health, str]]
MIB: Final = 1024 * 1024
_EIGHTHS: Final = 8  # a chip's memory is dealt out to MIG devices in eighths


@dataclass(frozen=True, slots=True)
class Unit:
    """A device, and what NVML needs to be asked about it.

    Attributes:
        handle: NVML's, of the GPU or of the MIG device.
        instance: for a MIG device the numbers of its GPU instance and compute instance.
    """

    device: Device
    handle: Any
    instance: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """What NVML showed at one time.

    Attributes:
        node: the name of the machine's node.
        units: what may be given out, sick ones too.
        gpus: by UUID the handles of the chips that answered, those in MIG mode too.
        silent: for each chip that did not answer, by its number, why.
    """

    node: str = ""
    units: list[Unit] = field(default_factory=list)
    gpus: dict[str, Any] = field(default_factory=dict)
    silent: dict[int, str] = field(default_factory=dict)


def look(nvml: Nvml, node: str, examine: Examine) -> Look:
    """Ask for every GPU; one that does not answer does not hide the others.

    Args:
        nvml: the library.
        node: the name of this machine's node.
        examine: the health of the GPU of a handle and a UUID, and what is to be said of it.

    Raises:
        NVMLError: nothing can be asked of any GPU.
    """
    found = Look(node)
    for index in range(nvml.ask("nvmlDeviceGetCount")):
        try:
            units = _units_of(nvml, index, found, examine)
        except NvmlError as error:
            if not is_of_one_gpu(error):
                raise
            found.silent[index] = words_for(error)
            continue
        found.units.extend(units)
    return found


def memory_of(nvml: Nvml, handle: Any) -> Any | None:
    """Bytes `total` and `used`; what the driver keeps for itself is not counted as used."""
    newer = nvml.maybe("nvmlDeviceGetMemoryInfo", handle, pynvml.nvmlMemory_v2)
    return newer or nvml.maybe("nvmlDeviceGetMemoryInfo", handle)


def _units_of(nvml: Nvml, index: int, found: Look, examine: Examine) -> list[Unit]:
    handle = nvml.ask("nvmlDeviceGetHandleByIndex", index)
    memory = memory_of(nvml, handle)
    gpu = Device(
        uuid=nvml.ask("nvmlDeviceGetUUID", handle),
        node=found.node,
        model=nvml.ask("nvmlDeviceGetName", handle),
        memory=memory.total // MIB if memory else 0,
        index=index,
    )
    health, said = examine(handle, gpu.uuid)
    well = health is Health.OK
    gpu = replace(gpu, health=health, trouble="" if well else said, warning=said if well else "")
    found.gpus[gpu.uuid] = handle
    mode = nvml.maybe("nvmlDeviceGetMigMode", handle)
    if not mode or mode[0] != pynvml.NVML_DEVICE_MIG_ENABLE:
        return [Unit(gpu, handle)]
    slots = range(nvml.maybe("nvmlDeviceGetMaxMigDeviceCount", handle) or 0)
    units = (_mig_unit(nvml, gpu, handle, slot) for slot in slots)
    return [unit for unit in units if unit]


def _mig_unit(nvml: Nvml, gpu: Device, handle: Any, slot: int) -> Unit | None:
    mig = nvml.maybe("nvmlDeviceGetMigDeviceHandleByIndex", handle, slot)
    if mig is None:
        return None
    shape = nvml.ask("nvmlDeviceGetAttributes_v2", mig)
    profile = _profile(str(nvml.maybe("nvmlDeviceGetName", mig)), shape, gpu.memory)
    if profile is None:
        log.warning("a MIG device of GPU %d has a shape that is not known: %s", gpu.index, shape)
        return None
    ids = (nvml.ask("nvmlDeviceGetGpuInstanceId", mig),
           nvml.ask("nvmlDeviceGetComputeInstanceId", mig))  # fmt: skip
    device = replace(
        gpu, uuid=nvml.ask("nvmlDeviceGetUUID", mig), memory=int(shape.memorySizeMB),
        profile=profile, parent=gpu.uuid,
    )  # fmt: skip
    return Unit(device, mig, ids)


def _profile(name: str, shape: Any, chip_memory: int) -> str | None:
    """The profile as the driver names it; by older ones that do not, from the device's shape."""
    named = re.search(r"MIG (\S+)$", name)
    for text in (named[1] if named else "", _shape_name(shape, chip_memory)):
        try:
            return MigProfile(text).name
        except BadInput:
            continue
    return None


def _shape_name(shape: Any, chip_memory: int) -> str:
    """As NVIDIA's "MIG User Guide" has it: compute slices, and GB of the chip's nominal size."""
    if not chip_memory:
        return ""
    eighths = math.ceil(_EIGHTHS * shape.memorySizeMB / chip_memory)
    gigabytes = round(math.ceil(chip_memory / 1024) * eighths / _EIGHTHS)
    instance, part = shape.gpuInstanceSliceCount, shape.computeInstanceSliceCount
    prefix = f"{part}c." if part < instance else ""
    return f"{prefix}{instance}g.{gigabytes}gb"
