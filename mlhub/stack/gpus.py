"""Which GPUs this machine has, as far as the first message of `mlhub up` is concerned."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pynvml

SIMULATED = "4 simulated A100 80GB and 2 simulated T4"


@dataclass(frozen=True, slots=True)
class GpuChoice:
    """Where the devices come from.

    Attributes:
        source: `nvml`, `simulated` or `none`.
        sentence: What was found, for the person who starts the stack.
    """

    source: str
    sentence: str


def choose(wish: str) -> GpuChoice:
    """Decides between real, simulated and no GPUs.

    Args:
        wish: `auto`, `nvml`, `simulated` or `none`.
    """
    if wish == "none":
        return GpuChoice("none", "GPUs: none, as asked for")
    if wish == "simulated":
        return GpuChoice("simulated", "GPUs: simulated ones, as asked for")
    models = models_by_nvml()
    if models is None and wish == "nvml":
        return GpuChoice("nvml", "GPUs: no NVIDIA driver found, so none until there is one")
    if models is None:
        return GpuChoice("simulated", f"GPUs: no NVIDIA driver found: showing {SIMULATED}")
    if not models:
        return GpuChoice("none", "GPUs: the NVIDIA driver is there but shows no device")
    listed = ", ".join(f"{count} x {model}" for model, count in sorted(Counter(models).items()))
    return GpuChoice("nvml", f"GPUs: {listed}")


def models_by_nvml() -> list[str] | None:
    """Asks the driver for the model of each GPU; None where there is no driver."""
    try:
        pynvml.nvmlInit()
    except (pynvml.NVMLError_LibraryNotFound, pynvml.NVMLError_DriverNotLoaded):
        return None
    except pynvml.NVMLError as error:
        return [f"GPUs that do not answer ({error})"]
    try:
        handles = map(pynvml.nvmlDeviceGetHandleByIndex, range(pynvml.nvmlDeviceGetCount()))
        return [str(pynvml.nvmlDeviceGetName(handle)) for handle in handles]
    except pynvml.NVMLError:
        return []
    finally:
        pynvml.nvmlShutdown()
