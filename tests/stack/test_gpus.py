"""What `mlhub up` says of the GPUs, and that a driver that hangs does not hang it."""

from __future__ import annotations

import pynvml
import pytest

from mlhub.stack.gpus import choose
from mlhub.stack.problems import StackProblem
from tests.adapters.nvml_library import Chip, Library

LOST = {"nvmlDeviceGetHandleByIndex": pynvml.NVML_ERROR_GPU_IS_LOST}


@pytest.mark.parametrize("wish", ["auto", "nvml"])
def test_a_driver_that_hangs_is_a_problem_with_a_remedy_and_no_simulation(wish: str):
    library = Library(Chip("GPU-a"))
    library.go_on.clear()
    try:
        with pytest.raises(StackProblem, match=r"did not answer in 0\.1 s") as raised:
            choose(wish, library=library, answer_s=0.1)
        assert "mlhub up --gpus none" in raised.value.remedy
        assert choose("none", library=library).source == "none"
        assert choose("simulated", library=library).source == "simulated"
    finally:
        library.go_on.set()


def test_gpus_are_named_by_model():
    library = Library(Chip("GPU-a"), Chip("GPU-b"), Chip("GPU-c", "Tesla T4"))
    choice = choose("auto", library=library)
    assert choice.source == "nvml"
    assert choice.sentence == "GPUs: 2 x NVIDIA A100 80GB PCIe, 1 x Tesla T4"
    assert library.uses == 0, "it lets the driver go"


def test_one_gpu_that_fails_does_not_hide_the_others():
    choice = choose("auto", library=Library(Chip("GPU-a"), Chip("GPU-b", fails=LOST)))
    assert choice.source == "nvml"
    assert "1 x GPU that does not answer (GPU is lost), 1 x NVIDIA A100" in choice.sentence


@pytest.mark.parametrize(
    "code", [pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH, pynvml.NVML_ERROR_UNKNOWN]
)
def test_a_driver_that_fails_is_not_taken_for_none(code: int):
    library = Library(Chip("GPU-a"))
    library.broken = code
    choice = choose("auto", library=library)
    assert (choice.source, "does not answer" in choice.sentence) == ("nvml", True)


@pytest.mark.parametrize(
    "code", [pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED]
)
def test_without_a_driver_gpus_are_simulated_unless_real_ones_are_asked_for(code: int):
    library = Library()
    library.broken = code
    assert choose("auto", library=library).source == "simulated"
    assert "4 simulated A100 80GB" in choose("auto", library=library).sentence
    assert choose("nvml", library=library).source == "nvml"
