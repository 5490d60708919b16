"""Which signs of trouble a GPU shows: what its memory, its clocks and the driver say of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import pynvml

from mlhub.adapters.nvml.library import LOST, Nvml, NvmlError, is_of_one_gpu, words_for
from mlhub.core.devices import Health
from mlhub.core.health import Signs

# NVIDIA's "Dynamic Page Retirement" ends at 64 pages; boards with 60 are to be exchanged.
MOST_RETIRED_PAGES: Final = 60
_RECOVERY: Final = {
    pynvml.NVML_GPU_RECOVERY_ACTION_GPU_RESET: "recovery-reset",
    pynvml.NVML_GPU_RECOVERY_ACTION_DRAIN_AND_RESET: "recovery-reset",
    pynvml.NVML_GPU_RECOVERY_ACTION_BUS_RESET: "recovery-bus-reset",
    pynvml.NVML_GPU_RECOVERY_ACTION_NODE_REBOOT: "recovery-reboot",
    pynvml.NVML_GPU_RECOVERY_ACTION_SYSTEM_REBOOT: "recovery-reboot",
    pynvml.NVML_GPU_RECOVERY_ACTION_DRAIN_P2P: "recovery-drain-p2p",
    pynvml.NVML_GPU_RECOVERY_ACTION_RECOVER_IMEX_DOMAIN: "recovery-imex",
}
_SLOWED: Final = {
    pynvml.nvmlClocksEventReasonHwThermalSlowdown: "throttle-heat",
    pynvml.nvmlClocksEventReasonSwThermalSlowdown: "throttle-heat",
    pynvml.nvmlClocksEventReasonHwPowerBrakeSlowdown: "throttle-power",
    pynvml.nvmlClocksEventReasonSwPowerCap: "throttle-power-cap",
}


def condition(nvml: Nvml, gpu: Any, *, xids: Iterable[int], signs: Signs) -> tuple[Health, str]:
    """The health of a GPU, and what is wrong and helps; of one that is well, a warning or "".

    Args:
        nvml: the library.
        gpu: its handle of the GPU.
        xids: the codes that the driver has reported of it.
        signs: what each sign means.
    """
    try:
        return signs.judge(_signs_of(nvml, gpu, xids))
    except NvmlError as error:
        if not is_of_one_gpu(error):
            raise
        return (Health.LOST if error.value in LOST else Health.SICK), words_for(error)


def _signs_of(nvml: Nvml, gpu: Any, xids: Iterable[int]) -> list[str]:
    """What the driver advises counts more than what it has reported before: a reset ends that."""
    advised = _recovery(nvml, gpu)
    reported = [f"xid-{code}" for code in sorted(xids)] if advised is None else advised
    return [*reported, *_memory(nvml, gpu), *_retired_pages(nvml, gpu), *_slowed(nvml, gpu)]


def _recovery(nvml: Nvml, gpu: Any) -> list[str] | None:
    """None where the driver gives no such advice; drivers do since 570."""
    fields = [pynvml.NVML_FI_DEV_GET_GPU_RECOVERY_ACTION]
    values = nvml.maybe("nvmlDeviceGetFieldValues", gpu, fields)
    if not values or values[0].nvmlReturn != pynvml.NVML_SUCCESS:
        return None
    sign = _RECOVERY.get(values[0].value.uiVal)
    return [sign] if sign else []


def _memory(nvml: Nvml, gpu: Any) -> list[str]:
    """Chips since Ampere replace bad rows of memory, and contain the error in one program."""
    rows = nvml.maybe("nvmlDeviceGetRemappedRows", gpu)
    errors = nvml.maybe(
        "nvmlDeviceGetTotalEccErrors",
        gpu,
        pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED,
        pynvml.NVML_VOLATILE_ECC,
    )
    signs = []
    if errors:
        signs.append("ecc-uncorrected" if rows is None else "ecc-contained")
    if rows is not None:
        _, _, pending, failed = rows
        signs += ["row-remap-failed"] * bool(failed) + ["row-remap-pending"] * bool(pending)
    return signs


def _retired_pages(nvml: Nvml, gpu: Any) -> list[str]:
    """Chips before Ampere leave bad pages of memory out, from the driver's next start."""
    pending = nvml.maybe("nvmlDeviceGetRetiredPagesPendingStatus", gpu)
    causes = range(pynvml.NVML_PAGE_RETIREMENT_CAUSE_COUNT)
    retired = sum(len(nvml.maybe("nvmlDeviceGetRetiredPages", gpu, n) or ()) for n in causes)
    signs = ["page-pending"] * (pending == pynvml.NVML_FEATURE_ENABLED)
    return signs + ["pages-bad"] * (retired >= MOST_RETIRED_PAGES)


def _slowed(nvml: Nvml, gpu: Any) -> list[str]:
    reasons = nvml.maybe("nvmlDeviceGetCurrentClocksEventReasons", gpu) or 0
    return [sign for bit, sign in _SLOWED.items() if reasons & bit]
