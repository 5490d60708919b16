"""NVML as a library that may be missing or fail: starting it, and what its errors mean."""

from __future__ import annotations

import logging
from typing import Any, Final

import pynvml

log = logging.getLogger(__name__)

MISSING: Final = {
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: "no NVIDIA driver is installed",
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: "the NVIDIA driver is installed but not loaded",
}
# With these nothing can be asked of any GPU until the library is started anew.
BROKEN: Final = {
    **MISSING,
    pynvml.NVML_ERROR_UNINITIALIZED: "the NVIDIA driver was restarted",
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: "the NVIDIA driver was updated while the old one is "
    "still loaded; the machine has to be restarted",
    pynvml.NVML_ERROR_OPERATING_SYSTEM: "the system does not let the NVIDIA driver work",
    pynvml.NVML_ERROR_MEMORY: "the machine has no memory left for the NVIDIA driver",
}
# With these a chip, a driver or a user simply has no answer to this question.
UNANSWERED: Final = frozenset(
    {
        pynvml.NVML_ERROR_INVALID_ARGUMENT,
        pynvml.NVML_ERROR_NOT_SUPPORTED,
        pynvml.NVML_ERROR_NO_PERMISSION,
        pynvml.NVML_ERROR_NOT_FOUND,
        pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
        pynvml.NVML_ERROR_CORRUPTED_INFOROM,
        pynvml.NVML_ERROR_NO_DATA,
        pynvml.NVML_ERROR_VGPU_ECC_NOT_SUPPORTED,
        pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
        pynvml.NVML_ERROR_DEPRECATED,
        pynvml.NVML_ERROR_NOT_READY,
    }
)
_OF_ONE_GPU: Final = {
    pynvml.NVML_ERROR_GPU_IS_LOST: "it fell off the bus; the machine has to be restarted",
    pynvml.NVML_ERROR_GPU_NOT_FOUND: "it fell off the bus; the machine has to be restarted",
    pynvml.NVML_ERROR_RESET_REQUIRED: "it has to be reset",
    pynvml.NVML_ERROR_IRQ_ISSUE: "its interrupts do not arrive; the machine has to be restarted",
    pynvml.NVML_ERROR_INSUFFICIENT_POWER: "its power cable is not connected",
    pynvml.NVML_ERROR_UNKNOWN: "the driver cannot reach it",
}
LOST: Final = frozenset({pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_GPU_NOT_FOUND})
NvmlError: Final = pynvml.NVMLError


class Nvml:
    """The library's functions by name, with the library started while it is used.

    The functions may be called from one thread at a time.
    """

    def __init__(self, library: Any) -> None:
        self._library = library
        self._started = False

    def start(self) -> None:
        """Start the library unless that was done."""
        if not self._started:
            self._library.nvmlInit()
            self._started = True

    def stop(self) -> None:
        """End the use of the library; all handles are void, and the next `start` looks anew."""
        if self._started:
            self._started = False
            try:
                self._library.nvmlShutdown()
            except NvmlError as error:
                log.info("NVML did not end in order: %s", error)

    def ask(self, function: str, *arguments: object) -> Any:
        """What the function answers."""
        return getattr(self._library, function)(*arguments)

    def maybe(self, function: str, *arguments: object) -> Any | None:
        """What the function answers, None where there is no answer to that question."""
        try:
            return self.ask(function, *arguments)
        except NvmlError as error:
            if error.value in UNANSWERED:
                return None
            raise


def is_of_one_gpu(error: pynvml.NVMLError) -> bool:
    """Whether the other GPUs can still be asked."""
    return error.value not in BROKEN


def words_for(error: pynvml.NVMLError) -> str:
    """What to tell people; a clause without a full stop."""
    known = BROKEN.get(error.value) or _OF_ONE_GPU.get(error.value)
    return known or f"the NVIDIA driver says: {error}"
