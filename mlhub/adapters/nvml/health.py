"""Whether a GPU may be given out: what its memory and the driver say of its condition."""

from __future__ import annotations

from typing import Any, Final

import pynvml

from mlhub.adapters.nvml.library import LOST, Nvml, NvmlError, is_of_one_gpu, words_for
from mlhub.core.devices import Health

# NVIDIA's "Dynamic Page Retirement" ends at 64 pages; boards with 60 are to be exchanged.
MOST_RETIRED_PAGES: Final = 60
_RECOVERY: Final = {
    pynvml.NVML_GPU_RECOVERY_ACTION_GPU_RESET: "the driver asks for a reset of it",
    pynvml.NVML_GPU_RECOVERY_ACTION_NODE_REBOOT: "the driver asks for a restart of the machine",
    pynvml.NVML_GPU_RECOVERY_ACTION_DRAIN_AND_RESET: "the driver asks for a reset of it",
    pynvml.NVML_GPU_RECOVERY_ACTION_BUS_RESET: "the driver asks for a reset of its bus",
    pynvml.NVML_GPU_RECOVERY_ACTION_SYSTEM_REBOOT: "the driver asks for a restart of the machine",
}


def condition(nvml: Nvml, gpu: Any) -> tuple[Health, str]:
    """The health of a GPU and, unless it is well, what is wrong and what helps."""
    checks = (_recovery, _remapped_rows, _retired_pages, _uncorrected)
    try:
        trouble = next((text for check in checks if (text := check(nvml, gpu))), "")
    except NvmlError as error:
        if not is_of_one_gpu(error):
            raise
        return (Health.LOST if error.value in LOST else Health.SICK), words_for(error)
    return (Health.SICK if trouble else Health.OK), trouble


def _recovery(nvml: Nvml, gpu: Any) -> str:
    """Known to drivers since 570."""
    fields = [pynvml.NVML_FI_DEV_GET_GPU_RECOVERY_ACTION]
    values = nvml.maybe("nvmlDeviceGetFieldValues", gpu, fields)
    if not values or values[0].nvmlReturn != pynvml.NVML_SUCCESS:
        return ""
    return _RECOVERY.get(values[0].value.uiVal, "")


def _remapped_rows(nvml: Nvml, gpu: Any) -> str:
    """Of chips since Ampere: a bad row of memory is replaced by a spare one at the next reset."""
    rows = nvml.maybe("nvmlDeviceGetRemappedRows", gpu)
    if rows is None:
        return ""
    _, _, pending, failed = rows
    if failed:
        return "a bad row of its memory could not be replaced; the GPU has to be exchanged"
    return "a bad row of its memory waits to be replaced; it has to be reset" if pending else ""


def _retired_pages(nvml: Nvml, gpu: Any) -> str:
    """Of chips before Ampere: a bad page of memory is left out from the driver's next start."""
    pending = nvml.maybe("nvmlDeviceGetRetiredPagesPendingStatus", gpu)
    if pending == pynvml.NVML_FEATURE_ENABLED:
        return "a bad page of its memory waits to be left out; it has to be reset"
    causes = range(pynvml.NVML_PAGE_RETIREMENT_CAUSE_COUNT)
    retired = sum(len(nvml.maybe("nvmlDeviceGetRetiredPages", gpu, n) or ()) for n in causes)
    if retired >= MOST_RETIRED_PAGES:
        return f"{retired} pages of its memory are bad; the GPU has to be exchanged"
    return ""


def _uncorrected(nvml: Nvml, gpu: Any) -> str:
    count = nvml.maybe(
        "nvmlDeviceGetTotalEccErrors",
        gpu,
        pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED,
        pynvml.NVML_VOLATILE_ECC,
    )
    if not count:
        return ""
    errors = "an error" if count == 1 else f"{count} errors"
    return f"its memory had {errors} that could not be corrected; it has to be reset"
