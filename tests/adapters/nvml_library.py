"""A library with NVML's functions and pynvml's own structures, over chips that a test describes."""

# ruff: noqa: N803  (the names of arguments are pynvml's)

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from types import SimpleNamespace

import pynvml

MIB = 1024 * 1024
NONE = 0xFFFFFFFF


@dataclass
class Running:
    """A process on a chip; `used` is None where the driver does not say."""

    pid: int
    used: int | None = 0
    graphics: bool = False
    instance: tuple[int, int] = (NONE, NONE)


@dataclass
class Mig:
    """A MIG device. An empty `name` is an older driver's, which has none for MIG devices."""

    uuid: str
    name: str = ""
    memory: int = 9728
    slices: tuple[int, int] = (1, 1)  # of the GPU instance, of the compute instance
    ids: tuple[int, int] = (7, 0)
    used: int = 0


@dataclass
class Chip:
    """A GPU. `fails` holds an error code for each function that fails on it."""

    uuid: str
    name: str = "NVIDIA A100 80GB PCIe"
    memory: int = 81920
    used: int = 0
    reserved: int = 600
    busy: int = 0
    migs: dict[int, Mig] | None = None
    rows: tuple[int, int, int, int] = (0, 0, 0, 0)
    retired: tuple[int, int] = (0, 0)
    retiring: int = pynvml.NVML_FEATURE_DISABLED
    uncorrected: int = 0
    recovery: int = pynvml.NVML_GPU_RECOVERY_ACTION_NONE
    slowed: int = 0
    reports: list[int] = field(default_factory=list)
    processes: list[Running] = field(default_factory=list)
    fails: dict[str, int] = field(default_factory=dict)


class Library:
    """What the adapter calls. `broken` is an error code that everything fails with."""

    def __init__(self, *chips: Chip) -> None:
        self.chips = list(chips)
        self.broken = 0
        self.old = False
        self.inits = self.uses = 0
        self.threads: set[str] = set()
        self.go_on = threading.Event()
        self.go_on.set()
        self._shown: list[Chip] = []

    def _enter(self) -> None:
        self.threads.add(threading.current_thread().name)
        self.go_on.wait()
        if self.broken:
            raise pynvml.NVMLError(self.broken)

    def _of(self, thing: Chip | Mig, function: str) -> None:
        self._enter()
        if not self.uses:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_UNINITIALIZED)
        if code := getattr(thing, "fails", {}).get(function):
            raise pynvml.NVMLError(code)

    def nvmlInit(self):
        self._enter()
        self.inits += 1
        self.uses += 1
        self._shown = list(self.chips)

    def nvmlShutdown(self):
        self.uses -= 1

    def nvmlDeviceGetCount(self):
        self._enter()
        return len(self._shown)

    def nvmlDeviceGetHandleByIndex(self, index):
        chip = self._shown[index]
        self._of(chip, "nvmlDeviceGetHandleByIndex")
        if chip not in self.chips:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
        return chip

    def nvmlDeviceGetUUID(self, handle):
        self._of(handle, "nvmlDeviceGetUUID")
        return handle.uuid

    def nvmlDeviceGetName(self, handle):
        self._of(handle, "nvmlDeviceGetName")
        if not handle.name:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return handle.name

    def nvmlDeviceGetMemoryInfo(self, handle, version=None):
        self._of(handle, "nvmlDeviceGetMemoryInfo")
        total, kept = handle.memory * MIB, getattr(handle, "reserved", 0) * MIB
        if version is None:
            return pynvml.c_nvmlMemory_t(total=total, used=handle.used * MIB + kept)
        if self.old:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)
        assert version == pynvml.nvmlMemory_v2
        return pynvml.c_nvmlMemory_v2_t(total=total, reserved=kept, used=handle.used * MIB)

    def nvmlDeviceGetMigMode(self, device):
        self._of(device, "nvmlDeviceGetMigMode")
        mode = pynvml.NVML_DEVICE_MIG_DISABLE if device.migs is None else (
            pynvml.NVML_DEVICE_MIG_ENABLE)  # fmt: skip
        return [mode, mode]

    def nvmlDeviceGetMaxMigDeviceCount(self, device):
        self._of(device, "nvmlDeviceGetMaxMigDeviceCount")
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, device, index):
        self._of(device, "nvmlDeviceGetMigDeviceHandleByIndex")
        if index not in device.migs:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return device.migs[index]

    def nvmlDeviceGetAttributes_v2(self, device):
        self._of(device, "nvmlDeviceGetAttributes_v2")
        instance, compute = device.slices
        return pynvml.c_nvmlDeviceAttributes(
            gpuInstanceSliceCount=instance, computeInstanceSliceCount=compute,
            memorySizeMB=device.memory,
        )  # fmt: skip

    def nvmlDeviceGetGpuInstanceId(self, device):
        return device.ids[0]

    def nvmlDeviceGetComputeInstanceId(self, device):
        return device.ids[1]

    def nvmlDeviceGetUtilizationRates(self, handle):
        self._of(handle, "nvmlDeviceGetUtilizationRates")
        assert isinstance(handle, Chip), "NVML has no utilisation of a MIG device"
        return pynvml.c_nvmlUtilization_t(gpu=handle.busy, memory=1)

    def nvmlDeviceGetComputeRunningProcesses_v3(self, handle):
        return self._processes(handle, "nvmlDeviceGetComputeRunningProcesses_v3", graphics=False)

    def nvmlDeviceGetGraphicsRunningProcesses_v3(self, handle):
        return self._processes(handle, "nvmlDeviceGetGraphicsRunningProcesses_v3", graphics=True)

    def _processes(self, handle, function, *, graphics):
        self._of(handle, function)
        chip = next(c for c in self.chips if handle is c or handle in (c.migs or {}).values())
        return [_row(row) for row in chip.processes if row.graphics == graphics]

    def nvmlDeviceGetRemappedRows(self, device):
        self._of(device, "nvmlDeviceGetRemappedRows")
        return device.rows

    def nvmlDeviceGetRetiredPages(self, device, sourceFilter):
        self._of(device, "nvmlDeviceGetRetiredPages")
        return [0x1000] * device.retired[sourceFilter]

    def nvmlDeviceGetRetiredPagesPendingStatus(self, device):
        self._of(device, "nvmlDeviceGetRetiredPagesPendingStatus")
        return device.retiring

    def nvmlDeviceGetTotalEccErrors(self, handle, errorType, counterType):
        self._of(handle, "nvmlDeviceGetTotalEccErrors")
        uncorrected = (pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, pynvml.NVML_VOLATILE_ECC)
        return handle.uncorrected if (errorType, counterType) == uncorrected else 99

    def nvmlDeviceGetCurrentClocksEventReasons(self, handle):
        self._of(handle, "nvmlDeviceGetCurrentClocksEventReasons")
        return handle.slowed

    def nvmlEventSetCreate(self):
        self._enter()
        return []

    def nvmlDeviceRegisterEvents(self, handle, eventTypes, eventSet):
        self._of(handle, "nvmlDeviceRegisterEvents")
        assert eventTypes == pynvml.nvmlEventTypeXidCriticalError
        eventSet.append(handle)

    def nvmlEventSetWait_v2(self, eventSet, timeoutms):
        self._enter()
        assert timeoutms == 0, "a look waits for no event"
        for chip in eventSet:
            if chip.reports:
                return SimpleNamespace(device=chip, eventData=chip.reports.pop(0))
        raise pynvml.NVMLError(pynvml.NVML_ERROR_TIMEOUT)

    def nvmlEventSetFree(self, eventSet):
        eventSet.clear()

    def nvmlDeviceGetFieldValues(self, handle, fieldIds):
        self._of(handle, "nvmlDeviceGetFieldValues")
        values = (pynvml.c_nvmlFieldValue_t * len(fieldIds))()
        for value, number in zip(values, fieldIds, strict=True):
            known = number == pynvml.NVML_FI_DEV_GET_GPU_RECOVERY_ACTION and not self.old
            value.nvmlReturn = 0 if known else pynvml.NVML_ERROR_NOT_SUPPORTED
            value.value.uiVal = handle.recovery
        return values


def _row(running: Running):
    used = pynvml.NVML_VALUE_NOT_AVAILABLE_ulonglong.value
    row = pynvml.nvmlStructToFriendlyObject(
        pynvml.c_nvmlProcessInfo_v3_t(
            pid=running.pid, usedGpuMemory=used if running.used is None else running.used * MIB,
            gpuInstanceId=running.instance[0], computeInstanceId=running.instance[1],
        )
    )  # fmt: skip
    row.usedGpuMemory = None if row.usedGpuMemory == used else row.usedGpuMemory
    return row
