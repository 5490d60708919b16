"""What runs on GPUs and how busy they are, as NVML shows it."""

import pynvml
import pytest

from mlhub.adapters.clock import ManualClock
from mlhub.adapters.nvml import NvmlInventory
from mlhub.broker.ports import DeviceLoad, DeviceUse
from tests.adapters.nvml_library import Chip, Library, Mig, Running

OWNERS = {10: ("ada", "L1"), 11: ("bob", ""), 12: ("root", "")}


def over(folder, *chips: Chip) -> NvmlInventory:
    return NvmlInventory(
        "here", ManualClock(), lambda pid: OWNERS.get(pid, ("", "")), library=Library(*chips),
        gpus=folder,
    )  # fmt: skip


async def test_processes_come_with_their_user_their_lease_and_their_memory(tmp_path):
    chip = Chip("GPU-a", processes=[Running(10, used=2048), Running(11, used=None)])
    assert await over(tmp_path, Chip("GPU-b"), chip).processes() == [
        DeviceUse("GPU-a", 10, "ada", 2048, "L1"),
        DeviceUse("GPU-a", 11, "bob", None, ""),
    ]


async def test_a_desktop_only_draws_and_what_does_both_computes(tmp_path):
    both = [Running(10, used=90, graphics=True), Running(10, used=90)]
    chip = Chip("GPU-a", processes=[Running(12, used=40, graphics=True), *both])
    assert await over(tmp_path, chip).processes() == [
        DeviceUse("GPU-a", 12, "root", 40, "", graphics=True),
        DeviceUse("GPU-a", 10, "ada", 90, "L1"),
    ]


async def test_processes_of_a_chip_in_mig_mode_are_those_of_their_mig_device(tmp_path):
    migs = {
        0: Mig("MIG-1", "x MIG 1g.10gb", ids=(7, 0)), 1: Mig("MIG-2", "x MIG 1g.10gb", ids=(8, 0)),
        2: Mig("MIG-3", "x MIG 1c.2g.20gb", ids=(8, 1)),
    }  # fmt: skip
    processes = [Running(10, instance=(7, 0)), Running(11, instance=(8, 1))]
    seen = await over(tmp_path, Chip("GPU-a", migs=migs, processes=processes)).processes()
    assert [(use.device, use.pid) for use in seen] == [("MIG-1", 10), ("MIG-3", 11)]


async def test_a_driver_that_does_not_number_instances_is_asked_by_mig_device_alone(tmp_path):
    chip = Chip("GPU-a", migs={0: Mig("MIG-1", "x MIG 7g.80gb")}, processes=[Running(10)])
    assert [use.device for use in await over(tmp_path, chip).processes()] == ["MIG-1"]


async def test_a_process_that_nobody_may_look_at_has_no_user_and_no_lease(tmp_path):
    chip = Chip("GPU-a", processes=[Running(99)])
    assert await over(tmp_path, chip).processes() == [DeviceUse("GPU-a", 99, "", 0, "")]


async def test_load_is_percent_of_time_and_memory_without_what_the_driver_keeps(tmp_path):
    chips = Chip("GPU-a", busy=93, used=1200), Chip("GPU-b")
    assert await over(tmp_path, *chips).load() == [
        DeviceLoad("GPU-a", 93.0, 1200), DeviceLoad("GPU-b", 0.0, 0),
    ]  # fmt: skip


async def test_of_a_mig_device_the_load_is_unknown_and_never_none(tmp_path):
    chip = Chip("GPU-a", busy=50, migs={0: Mig("MIG-1", "x MIG 1g.10gb", used=700)})
    assert await over(tmp_path, chip).load() == [DeviceLoad("MIG-1", None, 700)]


@pytest.mark.parametrize(
    ("function", "code", "expected"),
    [
        (
            "nvmlDeviceGetUtilizationRates",
            pynvml.NVML_ERROR_NOT_SUPPORTED,
            DeviceLoad("GPU-a", None, 5),
        ),
        (
            "nvmlDeviceGetUtilizationRates",
            pynvml.NVML_ERROR_GPU_IS_LOST,
            DeviceLoad("GPU-a", None, None),
        ),
        (
            "nvmlDeviceGetMemoryInfo",
            pynvml.NVML_ERROR_NOT_SUPPORTED,
            DeviceLoad("GPU-a", 7.0, None),
        ),
    ],
)
async def test_what_the_driver_does_not_say_is_unknown(tmp_path, function, code, expected):
    chip = Chip("GPU-a", busy=7, used=5)
    inventory = over(tmp_path, chip, Chip("GPU-b", busy=8, used=6))
    await inventory.read()
    chip.fails = {function: code}
    assert await inventory.load() == [expected, DeviceLoad("GPU-b", 8.0, 6)]


async def test_a_gpu_that_does_not_answer_hides_no_process_of_the_others(tmp_path):
    lost = Chip("GPU-a", processes=[Running(10)])
    inventory = over(tmp_path, lost, Chip("GPU-b", processes=[Running(11)]))
    await inventory.read()
    lost.fails = {"nvmlDeviceGetComputeRunningProcesses_v3": pynvml.NVML_ERROR_GPU_IS_LOST}
    assert [use.device for use in await inventory.processes()] == ["GPU-b"]
