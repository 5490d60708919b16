"""Which GPUs this machine has, as far as the first message of `mlhub up` is concerned."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

import pynvml

from mlhub.lane import Lane
from mlhub.stack.problems import StackProblem

SIMULATED = "4 simulated A100 80GB and 2 simulated T4"
ANSWER_S: Final = 20.0  # a driver that has to wake up eight GPUs takes some seconds


@dataclass(frozen=True, slots=True)
class GpuChoice:
    """Where the devices come from.

    Attributes:
        source: `nvml`, `simulated` or `none`.
        sentence: What was found, for the person who starts the stack.
    """

    source: str
    sentence: str


def choose(wish: str, *, library: Any = pynvml, answer_s: float = ANSWER_S) -> GpuChoice:
    """Decides between real, simulated and no GPUs.

    Args:
        wish: `auto`, `nvml`, `simulated` or `none`.
        library: the module `pynvml`, or what has its functions.
        answer_s: seconds that the driver has for an answer.

    Raises:
        StackProblem: there is a driver that does not answer.
    """
    if wish == "none":
        return GpuChoice("none", "GPUs: none, as asked for")
    if wish == "simulated":
        return GpuChoice("simulated", "GPUs: simulated ones, as asked for")
    models = models_by_nvml(library, answer_s=answer_s)
    if models is None and wish == "nvml":
        return GpuChoice("nvml", "GPUs: no NVIDIA driver found, so none until there is one")
    if models is None:
        return GpuChoice("simulated", f"GPUs: no NVIDIA driver found: showing {SIMULATED}")
    if not models:
        return GpuChoice("nvml", "GPUs: the NVIDIA driver is there but shows no device")
    listed = ", ".join(f"{count} x {model}" for model, count in sorted(Counter(models).items()))
    return GpuChoice("nvml", f"GPUs: {listed}")


def models_by_nvml(library: Any = pynvml, *, answer_s: float = ANSWER_S) -> list[str] | None:
    """Asks the driver for the model of each GPU; None where there is no driver.

    Raises:
        StackProblem: it does not answer within `answer_s` seconds.
    """
    lane = Lane("mlhub-gpus")
    try:
        return lane.wait(lambda: _models(library), timeout_s=answer_s)
    except TimeoutError:
        raise StackProblem(
            f"The NVIDIA driver did not answer in {answer_s:g} s",
            remedy="See whether `nvidia-smi` answers; if it hangs too, restart the machine. "
            "`mlhub up --gpus none` starts without GPUs.",
        ) from None
    finally:
        lane.close()


def _models(library: Any) -> list[str] | None:
    try:
        library.nvmlInit()
    except (pynvml.NVMLError_LibraryNotFound, pynvml.NVMLError_DriverNotLoaded):
        return None
    except pynvml.NVMLError as error:
        return [_failing(error)]
    try:
        return [_model(library, index) for index in range(library.nvmlDeviceGetCount())]
    except pynvml.NVMLError as error:
        return [_failing(error)]
    finally:
        library.nvmlShutdown()


def _model(library: Any, index: int) -> str:
    try:
        return str(library.nvmlDeviceGetName(library.nvmlDeviceGetHandleByIndex(index)))
    except pynvml.NVMLError as error:
        return _failing(error)


def _failing(error: pynvml.NVMLError) -> str:
    return f"GPU that does not answer ({error})"
