"""The errors that the driver reports of a GPU as they happen, by their Xid codes."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, Final

import pynvml

from mlhub.adapters.nvml.library import Nvml, NvmlError, is_of_one_gpu

log = logging.getLogger(__name__)
AT_ONCE: Final = 100  # reports taken at one look; the rest waits for the next


class XidWatch:
    """Takes the driver's reports, and remembers which codes each GPU has had.

    What is remembered outlasts a new start of the library: a GPU that has to be reset has to be
    reset after it, too. It is forgotten with the service.
    """

    def __init__(self) -> None:
        self._events: Any = None
        self._codes: dict[str, set[int]] = {}

    def of(self, uuid: str) -> set[int]:
        """The codes that were reported of a GPU."""
        return self._codes.get(uuid, set())

    def begin(self, nvml: Nvml, gpus: Iterable[Any]) -> None:
        """Have the driver report on these GPUs, those that can; once for each start of it."""
        if self._events is not None:
            return
        self._events = nvml.maybe("nvmlEventSetCreate")
        if self._events is None:
            return
        for gpu in gpus:
            kind = pynvml.nvmlEventTypeXidCriticalError
            _quietly(nvml, "nvmlDeviceRegisterEvents", gpu, kind, self._events)

    def end(self, nvml: Nvml) -> None:
        """The library is about to be stopped."""
        if self._events is not None:
            _quietly(nvml, "nvmlEventSetFree", self._events)
            self._events = None

    def take(self, nvml: Nvml) -> None:
        """Take what was reported since the last time; it waits for nothing."""
        for _ in range(AT_ONCE if self._events is not None else 0):
            report = _quietly(nvml, "nvmlEventSetWait_v2", self._events, 0)
            if report is None:
                return
            uuid = _quietly(nvml, "nvmlDeviceGetUUID", report.device)
            if uuid is not None:
                log.warning("the driver reports Xid %d of %s", report.eventData, uuid)
                self._codes.setdefault(uuid, set()).add(int(report.eventData))


def _quietly(nvml: Nvml, function: str, *arguments: object) -> Any | None:
    """What the function answers; None where it has no answer, or not for this GPU."""
    try:
        return nvml.maybe(function, *arguments)
    except NvmlError as error:
        if is_of_one_gpu(error):
            return None
        raise
