"""What the inventory says of GPUs, as NVML shows them: shapes, health, losses, failures."""

import inspect

import pynvml
import pytest

from mlhub.adapters.clock import ManualClock
from mlhub.adapters.nvml import NvmlInventory, source
from mlhub.core.devices import Health
from mlhub.core.errors import InventoryUnavailable
from mlhub.core.health import Signs, Verdict
from tests.adapters.nvml_library import Chip, Library, Mig
from tests.adapters.running import until

LOST = pynvml.NVML_ERROR_GPU_IS_LOST
BEFORE_AMPERE = {"fails": {"nvmlDeviceGetRemappedRows": pynvml.NVML_ERROR_NOT_SUPPORTED}}


def nobody(pid: int) -> tuple[str, str]:
    return "", ""


def over(library: Library, folder, **more) -> NvmlInventory:
    return NvmlInventory("here", ManualClock(), nobody, library=library, gpus=folder, **more)


@pytest.fixture
def see(tmp_path):
    """The devices that an inventory shows, each as a line; opened anew for each library."""

    async def see(source: NvmlInventory) -> list[str]:
        found = await source.read()
        assert found.taken_at == ManualClock().now()
        assert not found.simulated
        return [said(device) for device in found.devices]

    return see


def said(device) -> str:
    shape = f" {device.profile} of {device.parent}" if device.profile else ""
    state = "" if device.usable else f" {device.health}: {device.trouble}"
    return f"{device.index} {device.uuid} {device.model} {device.memory}{shape}{state}"


async def test_every_gpu_is_shown_with_model_and_memory(tmp_path, see):
    library = Library(Chip("GPU-a"), Chip("GPU-b", "Tesla T4", 15360))
    found = await over(library, tmp_path).read()
    assert [said(row) for row in found.devices] == [
        "0 GPU-a NVIDIA A100 80GB PCIe 81920", "1 GPU-b Tesla T4 15360",
    ]  # fmt: skip
    assert {row.node for row in found.devices} == {node.name for node in found.nodes} == {"here"}


async def test_a_gpu_in_mig_mode_is_not_given_out_but_its_mig_devices_are(tmp_path, see):
    migs = {
        0: Mig("MIG-1", "NVIDIA A100 80GB PCIe MIG 3g.40gb", memory=40192),
        4: Mig("MIG-2", "NVIDIA A100 80GB PCIe MIG 1g.10gb+me", memory=9728),
    }
    library = Library(Chip("GPU-a", migs=migs), Chip("GPU-b"), Chip("GPU-c", migs={}))
    assert await see(over(library, tmp_path)) == [
        "0 MIG-1 NVIDIA A100 80GB PCIe 40192 3g.40gb of GPU-a",
        "0 MIG-2 NVIDIA A100 80GB PCIe 9728 1g.10gb+me of GPU-a",
        "1 GPU-b NVIDIA A100 80GB PCIe 81920",
    ]


@pytest.mark.parametrize(
    ("chip", "memory", "slices", "profile"),
    [
        (81920, 9728, (1, 1), "1g.10gb"),
        (81920, 19968, (2, 2), "2g.20gb"),
        (81920, 40192, (3, 3), "3g.40gb"),
        (81920, 81050, (7, 7), "7g.80gb"),
        (40536, 4864, (1, 1), "1g.5gb"),
        (24576, 5952, (1, 1), "1g.6gb"),
        (143771, 16384, (1, 1), "1g.18gb"),
        (81920, 40192, (3, 1), "1c.3g.40gb"),
    ],
)
async def test_a_driver_that_does_not_name_a_profile_still_shows_its_shape(
    tmp_path, chip, memory, slices, profile
):
    mig = Mig("MIG-1", memory=memory, slices=slices)
    (row,) = (
        await over(Library(Chip("GPU-a", memory=chip, migs={0: mig})), tmp_path).read()
    ).devices
    assert (row.profile, row.memory) == (profile, memory)


@pytest.mark.parametrize(
    ("chip", "trouble"),
    [
        (
            {"rows": (1, 0, 0, 1)},
            "a bad row of its memory could not be replaced; the GPU has to be exchanged",
        ),
        (
            {"retired": (40, 20)},
            "too many pages of its memory are bad; the GPU has to be exchanged",
        ),
        (
            {"uncorrected": 1, **BEFORE_AMPERE},
            "its memory had errors that could not be corrected; it has to be reset",
        ),
        (
            {"recovery": pynvml.NVML_GPU_RECOVERY_ACTION_NODE_REBOOT},
            "the driver asks for a restart of the machine",
        ),
        (
            {"fails": {"nvmlDeviceGetRemappedRows": pynvml.NVML_ERROR_RESET_REQUIRED}},
            "it has to be reset",
        ),
        (
            {"fails": {"nvmlDeviceGetTotalEccErrors": pynvml.NVML_ERROR_UNKNOWN}},
            "the driver cannot reach it",
        ),
    ],
    ids=lambda value: None if isinstance(value, str) else " ".join(value),
)  # fmt: skip
async def test_a_gpu_in_trouble_is_sick_and_says_what_helps(tmp_path, see, chip, trouble):
    library = Library(Chip("GPU-a", **chip), Chip("GPU-b"))
    assert await see(over(library, tmp_path)) == [
        f"0 GPU-a NVIDIA A100 80GB PCIe 81920 sick: {trouble}",
        "1 GPU-b NVIDIA A100 80GB PCIe 81920",
    ]


async def test_what_a_gpu_has_survived_is_no_trouble(tmp_path):
    chip = Chip("GPU-a", rows=(3, 2, 0, 0), retired=(20, 39))
    (device,) = (await over(Library(chip), tmp_path).read()).devices
    assert (device.usable, device.trouble, device.warning) == (True, "", "")


@pytest.mark.parametrize(
    ("chip", "warning"),
    [
        ({"rows": (0, 1, 1, 0)}, "a bad row of its memory is replaced at its next reset"),
        (
            {"retiring": pynvml.NVML_FEATURE_ENABLED},
            "a bad page of its memory is left out after its next reset",
        ),
        ({"uncorrected": 3}, "its memory had errors that each ended no more than one program"),
        (
            {"slowed": pynvml.nvmlClocksEventReasonHwThermalSlowdown},
            "it is slowed down because it is too hot",
        ),
        (
            {"slowed": pynvml.nvmlClocksEventReasonSwThermalSlowdown},
            "it is slowed down because it is too hot",
        ),
        (
            {"slowed": pynvml.nvmlClocksEventReasonHwPowerBrakeSlowdown},
            "it is slowed down for lack of power",
        ),
        ({"slowed": pynvml.nvmlClocksEventReasonSwPowerCap}, ""),
        (
            {"recovery": pynvml.NVML_GPU_RECOVERY_ACTION_DRAIN_P2P},
            "the driver asks that no other GPU use its memory, and then for a reset",
        ),
    ],
    ids=lambda value: None if isinstance(value, str) else " ".join(map(str, value)),
)
async def test_a_gpu_that_only_warns_is_given_out_all_the_same(tmp_path, chip, warning):
    (device,) = (await over(Library(Chip("GPU-a", **chip)), tmp_path).read()).devices
    assert (device.usable, device.trouble, device.warning) == (True, "", warning)


async def test_what_the_driver_reports_counts_from_then_on_also_over_a_new_start(tmp_path, see):
    library = Library(Chip("GPU-a"), Chip("GPU-b"))
    library.old = True
    inventory = over(library, tmp_path)
    well = await see(inventory)
    library.chips[0].reports = [13, 94, 63]
    library.chips[1].reports = [31, 95, 95]
    sick = [well[0], f"{well[1]} sick: the driver reported Xid 95: it has to be reset"]
    assert await see(inventory) == sick
    library.broken = pynvml.NVML_ERROR_UNINITIALIZED
    with pytest.raises(InventoryUnavailable):
        await inventory.read()
    library.broken = 0
    assert await see(inventory) == sick
    library.chips[0].reports = [79]
    assert (await see(inventory))[0].startswith(f"{well[0]} lost: it fell off the bus (Xid 79)")


async def test_where_the_driver_advises_its_earlier_reports_count_no_more(tmp_path, see):
    library = Library(Chip("GPU-a"))
    inventory = over(library, tmp_path)
    well = await see(inventory)
    library.chips[0].reports = [95]
    library.chips[0].recovery = pynvml.NVML_GPU_RECOVERY_ACTION_GPU_RESET
    assert await see(inventory) == [f"{well[0]} sick: the driver asks for a reset of it"]
    library.chips[0].recovery = pynvml.NVML_GPU_RECOVERY_ACTION_NONE
    assert await see(inventory) == well


async def test_what_an_operator_decides_of_a_sign_counts(tmp_path, see):
    library = Library(Chip("GPU-a", rows=(0, 1, 1, 0)))
    signs = Signs({"row-remap-pending": Verdict.SICK})
    assert (await see(over(library, tmp_path, signs=signs)))[0].endswith(
        "sick: a bad row of its memory is replaced at its next reset"
    )


async def test_a_chip_or_driver_that_knows_nothing_of_health_counts_as_well(tmp_path):
    unsupported = dict.fromkeys(
        ("nvmlDeviceGetRemappedRows", "nvmlDeviceGetRetiredPages", "nvmlDeviceGetTotalEccErrors",
         "nvmlDeviceGetRetiredPagesPendingStatus", "nvmlDeviceGetMigMode"),
        pynvml.NVML_ERROR_NOT_SUPPORTED,
    )  # fmt: skip
    chip = Chip("GPU-a", "NVIDIA GeForce RTX 4090", fails=unsupported)
    chip.recovery = pynvml.NVML_GPU_RECOVERY_ACTION_GPU_RESET  # of no meaning: it was not asked
    library = Library(chip)
    library.old = True
    (row,) = (await over(library, tmp_path).read()).devices
    assert (row.usable, row.memory) == (True, 81920)


async def test_a_sick_chip_makes_its_mig_devices_sick(tmp_path, see):
    library = Library(Chip("GPU-a", rows=(0, 0, 0, 1), migs={0: Mig("MIG-1", "x MIG 1g.10gb")}))
    (line,) = await see(over(library, tmp_path))
    assert line.startswith("0 MIG-1")
    assert "sick: a bad row of its memory" in line


async def test_a_gpu_that_falls_off_the_bus_is_lost_and_back_after_a_restart_of_it(
    tmp_path, see, monkeypatch
):
    library = Library(Chip("GPU-a"), Chip("GPU-b"))
    inventory = over(library, tmp_path)
    well = await see(inventory)
    library.chips[0].fails = {"nvmlDeviceGetHandleByIndex": LOST}
    assert await see(inventory) == [
        f"{well[0]} lost: it fell off the bus; the machine has to be restarted", well[1],
    ]  # fmt: skip
    library.chips[0].fails = {}
    assert await see(inventory) == well


async def test_a_gpu_that_answers_but_is_lost_for_its_health_is_lost(tmp_path):
    chip = Chip("GPU-a", fails={"nvmlDeviceGetRemappedRows": LOST})
    assert (await over(Library(chip), tmp_path).read()).devices[0].health is Health.LOST


async def test_gpus_that_vanish_or_appear_are_noticed_by_what_the_driver_lists(tmp_path, see):
    library = Library(Chip("GPU-a"), Chip("GPU-b"), Chip("GPU-c"))
    inventory = over(library, tmp_path)
    (tmp_path / "0000:01:00.0").mkdir()
    await inventory.read()
    vanished = library.chips.pop(1)
    library.chips.append(Chip("GPU-d"))
    (tmp_path / "0000:02:00.0").mkdir()
    lines = await see(inventory)
    assert [line.split()[1] for line in lines] == ["GPU-a", "GPU-c", "GPU-b", "GPU-d"]
    assert lines[2].endswith("lost: it is no longer there: it fell off the bus or was taken out")
    assert library.inits == 2
    library.chips.insert(1, vanished)
    (tmp_path / "0000:03:00.0").mkdir()
    assert all(row.usable for row in (await inventory.read()).devices)


async def test_while_a_gpu_is_missing_the_driver_is_started_anew_once_a_minute(
    tmp_path, monkeypatch
):
    library = Library(Chip("GPU-a"), Chip("GPU-b"))
    inventory = over(library, tmp_path)
    await inventory.read()
    lost = library.chips.pop()
    for _ in range(3):
        await inventory.read()
    assert library.inits == 1
    monkeypatch.setattr(source, "LOOK_ANEW", 0.0)
    assert not (await inventory.read()).devices[1].usable
    library.chips.append(lost)
    assert (await inventory.read()).devices[1].usable
    assert library.inits == 3
    await inventory.read()
    assert (library.inits, library.uses) == (3, 1)


async def test_a_gpu_that_is_divided_says_so(tmp_path, see):
    library = Library(Chip("GPU-a"))
    inventory = over(library, tmp_path)
    await inventory.read()
    library.chips[0].migs = {0: Mig("MIG-1", "x MIG 7g.80gb")}
    lines = await see(inventory)
    assert lines[0].startswith("0 MIG-1")
    assert lines[1].endswith("lost: it was divided into MIG devices")
    library.chips[0].migs = {0: Mig("MIG-2", "x MIG 3g.40gb")}
    assert (await see(inventory))[2].endswith("lost: its GPU was divided anew")


async def test_a_gpu_that_this_container_may_not_use_is_not_shown(tmp_path, see):
    forbidden = {"nvmlDeviceGetHandleByIndex": pynvml.NVML_ERROR_NO_PERMISSION}
    library = Library(Chip("GPU-a", fails=forbidden), Chip("GPU-b"))
    assert [line.split()[1] for line in await see(over(library, tmp_path))] == ["GPU-b"]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, "no NVIDIA driver is installed"),
        (pynvml.NVML_ERROR_DRIVER_NOT_LOADED, "the NVIDIA driver is installed but not loaded"),
    ],
)
async def test_without_a_driver_there_is_nothing_and_the_probe_says_why(tmp_path, code, reason):
    library = Library()
    library.broken = code
    inventory = over(library, tmp_path)
    assert inventory.probe() == reason
    found = await inventory.read()
    assert (found.devices, found.nodes, found.problem) == ((), (), "")
    assert await inventory.processes() == []
    assert await inventory.load() == []


async def test_a_driver_that_is_loaded_later_is_found(tmp_path):
    library = Library(Chip("GPU-a"))
    library.broken = pynvml.NVML_ERROR_DRIVER_NOT_LOADED
    inventory = over(library, tmp_path)
    assert (await inventory.read()).devices == ()
    library.broken = 0
    assert inventory.probe() is None
    assert len((await inventory.read()).devices) == 1


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (pynvml.NVML_ERROR_DRIVER_NOT_LOADED, "the NVIDIA driver is installed but not loaded"),
        (
            pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH,
            "the NVIDIA driver was updated while the old one is still loaded; "
            "the machine has to be restarted",
        ),
        (pynvml.NVML_ERROR_TIMEOUT, "the NVIDIA driver says: Timeout"),
    ],
)
async def test_a_driver_that_fails_later_is_a_failure_with_its_cause_until_it_is_back(
    tmp_path, code, cause
):
    library = Library(Chip("GPU-a"))
    inventory = over(library, tmp_path)
    await inventory.read()
    library.broken = code
    for ask in (inventory.read, inventory.processes, inventory.load):
        with pytest.raises(InventoryUnavailable) as raised:
            await ask()
        assert str(raised.value) == cause
    library.broken = 0
    assert (await inventory.read()).devices[0].usable
    assert library.inits == 2


async def test_a_driver_that_hangs_is_a_failure_and_asked_again_when_it_answers(tmp_path):
    library = Library(Chip("GPU-a"))
    inventory = over(library, tmp_path, timeout_s=1)
    await inventory.read()
    library.go_on.clear()
    for _ in range(3):
        with pytest.raises(InventoryUnavailable, match="has not answered for 1 s"):
            await inventory.read()
    assert inventory.probe() == "the NVIDIA driver has not answered for 1 s"
    library.go_on.set()
    await until(lambda: inventory.probe() is None, "the driver answered again")
    assert (await inventory.read()).devices[0].usable
    inventory.close()


async def test_all_of_nvml_is_asked_in_one_thread(tmp_path):
    library = Library(Chip("GPU-a"))
    inventory = over(library, tmp_path)
    inventory.probe()
    await inventory.read()
    await inventory.processes()
    await inventory.load()
    assert library.threads == {"mlhub-nvml"}


def test_the_library_of_these_tests_has_the_functions_of_the_real_one():
    ours = inspect.getmembers(Library, inspect.isfunction)
    functions = [(name, function) for name, function in ours if name.startswith("nvml")]
    assert len(functions) > 15
    for name, function in functions:
        real = list(inspect.signature(getattr(pynvml, name)).parameters)
        assert list(inspect.signature(function).parameters)[1:] == real, name


async def test_the_real_library_finds_a_driver_exactly_where_there_is_one():
    inventory = NvmlInventory("here", ManualClock(), nobody)
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        assert inventory.probe()
        assert (await inventory.read()).devices == ()
    else:
        pynvml.nvmlShutdown()
        assert inventory.probe() is None
        assert (await inventory.read()).nodes
