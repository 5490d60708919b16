"""Simulated GPUs: what there is, what fails on command, and who uses them."""

import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from mlhub.adapters.clock import ManualClock
from mlhub.adapters.processes import ProcessTable
from mlhub.adapters.simulated import SimulatedInventory
from mlhub.broker.ports import DeviceLoad
from mlhub.core.devices import Health, flavors_of
from mlhub.core.errors import BadInput, InventoryUnavailable
from mlhub.core.strays import find_strays
from tests.adapters.running import running
from tests.core.making import lease

SMALL = "nodes: [{gpus: [{model: T4, memory: 16 GiB, count: 3}]}]\n"


@dataclass(frozen=True)
class Process:
    pid: int = 7
    user: str = "ada"
    lease_id: str = "L1"
    visible: str = ""
    age: float = 0.0


class Some:
    """A process table that a test fills."""

    def __init__(self) -> None:
        self.rows: list[Process] = []

    def scan(self) -> list[Process]:
        return self.rows


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "gpus.yaml", SMALL)


def write(path: Path, text: str) -> Path:
    """Replace the file as an editor does; each version has a time of its own."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_text(text)
    os.utime(path, ns=(before + 10**9, before + 10**9))
    return path


async def shown(inventory: SimulatedInventory) -> list[str]:
    rows = (await inventory.read()).devices
    return [
        f"{d.index} {d.model}" + ("" if d.usable else f" {d.health}: {d.trouble}") for d in rows
    ]


async def test_without_a_file_there_are_four_a100_and_two_t4(clock):
    found = await SimulatedInventory("here", clock).read()
    assert [(row.model, row.memory, row.index) for row in found.devices] == [
        *[("NVIDIA A100 80GB PCIe", 81920, index) for index in range(4)],
        *[("Tesla T4", 15360, index) for index in (4, 5)],
    ]
    assert [flavor.name for flavor in flavors_of(found.devices)] == ["a100-80gb-pcie", "t4"]
    assert found.simulated
    assert {row.node for row in found.devices} == {node.name for node in found.nodes} == {"here"}
    assert found.taken_at == clock.now()


async def test_a_machine_without_gpus_is_no_simulation(clock):
    found = await SimulatedInventory.empty(clock).read()
    assert (found.devices, found.nodes, found.simulated) == ((), (), False)


async def test_devices_have_the_same_uuid_at_each_start_and_another_on_another_node(clock):
    async def uuids(node):
        return [row.uuid for row in (await SimulatedInventory(node, clock).read()).devices]

    assert await uuids("here") == await uuids("here")
    assert len({*await uuids("here"), *await uuids("there")}) == 12
    assert all(uuid.startswith("GPU-") and len(uuid) == 40 for uuid in await uuids("here"))


async def test_more_of_one_model_change_no_device_of_another(clock, file):
    two = "nodes: [{{gpus: [{{model: A, memory: 1, count: {}}}, {{model: B, memory: 1}}]}}]"
    inventory = SimulatedInventory("here", clock, file=write(file, two.format(1)))
    before = {row.uuid: row.model for row in (await inventory.read()).devices}
    write(file, two.format(3))
    after = (await inventory.read()).devices
    assert before.items() < {row.uuid: row.model for row in after}.items()
    assert all(row.usable for row in after)
    assert len(after) == 4


async def test_nodes_mig_devices_and_shared_chips_are_as_the_file_says(clock, file):
    write(
        file,
        """
        nodes:
          - gpus: [{model: A100, memory: 80 GiB, mig: [3g.40gb, 1g.10gb, 1g.10gb+me]}]
          - name: far
            labels: {pool: fast}
            schedulable: false
            trouble: it is drained
            gpus: [{model: T4, memory: 15360, sharing: time-slicing, shares: 4}]
        """,
    )
    found = await SimulatedInventory("here", clock, file=file).read()
    shared, *migs = found.devices
    assert [(row.profile, row.memory) for row in migs] == [
        ("3g.40gb", 40960), ("1g.10gb", 10240), ("1g.10gb+me", 10240),
    ]  # fmt: skip
    assert len({row.uuid for row in migs}) == 3
    assert len({row.parent for row in migs}) == 1
    assert all(row.uuid.startswith("MIG-") and row.parent.startswith("GPU-") for row in migs)
    assert (shared.node, shared.sharing, shared.shares) == ("far", "time-slicing", 4)
    [far] = [node for node in found.nodes if node.name == "far"]
    assert (dict(far.labels), far.schedulable, far.trouble) == (
        {"pool": "fast"},
        False,
        "it is drained",
    )


async def test_devices_fail_vanish_return_and_appear_on_command(clock, file):
    inventory = SimulatedInventory("here", clock, file=file)
    uuids = [row.uuid for row in (await inventory.read()).devices]
    write(
        file,
        f"""{SMALL}
failures: [{{device: 0, health: lost, trouble: it fell off the bus}}, {{device: {uuids[1]}}}]
vanish: ["here:2"]
""",
    )
    assert await shown(inventory) == [
        "0 T4 lost: it fell off the bus", "1 T4 sick: it reports errors (simulated)",
        "2 T4 lost: it is no longer there (simulated)",
    ]  # fmt: skip
    write(file, SMALL.replace("3", "4"))
    assert await shown(inventory) == ["0 T4", "1 T4", "2 T4", "3 T4"]
    write(file, SMALL.replace("3", "1"))
    assert [row.health for row in (await inventory.read()).devices] == [
        Health.OK, Health.LOST, Health.LOST, Health.LOST,
    ]  # fmt: skip


async def test_what_was_never_there_is_not_lost(clock, file):
    write(file, SMALL + "vanish: [2]")
    assert await shown(SimulatedInventory("here", clock, file=file)) == ["0 T4", "1 T4"]


async def test_a_divided_gpu_fails_with_all_of_its_mig_devices(clock, file):
    write(
        file,
        "nodes: [{gpus: [{model: A, memory: 9, mig: [1g.10gb, 1g.10gb]}, {model: B, memory: 9}]}]\n"
        "failures: [{device: 0, trouble: it is sick}]",
    )
    assert await shown(SimulatedInventory("here", clock, file=file)) == [
        "0 A sick: it is sick", "0 A sick: it is sick", "1 B",
    ]  # fmt: skip


async def test_devices_are_called_by_number_node_and_uuid(clock, file):
    two = """nodes:
  - gpus: [{model: A, memory: 9, mig: [1g.10gb, 2g.20gb]}]
  - {name: far, gpus: [{model: B, memory: 9, count: 2}]}
"""
    inventory = SimulatedInventory("here", clock, file=write(file, two))
    rows = {f"{row.node}:{row.index}": row for row in (await inventory.read()).devices}
    for called, sick in {
        "0": ["here 1g.10gb", "here 2g.20gb"], "far:0": ["far None"], "1": None,
        rows["here:0"].parent: ["here 1g.10gb", "here 2g.20gb"], rows["far:1"].uuid: ["far None"],
    }.items():  # fmt: skip
        write(file, f"{two}failures: [{{device: '{called}'}}]")
        if sick is None:
            with pytest.raises(InventoryUnavailable, match="there is no simulated device '1'"):
                await inventory.read()
            continue
        found = (await inventory.read()).devices
        assert [f"{row.node} {row.profile}" for row in found if not row.usable] == sick
        assert {row.memory for row in found} == {9}


async def test_the_file_is_read_again_only_when_it_changes(clock, file, caplog):
    caplog.set_level("INFO", "mlhub.adapters.simulated")
    inventory = SimulatedInventory("here", clock, file=file)
    await inventory.read()
    assert "were read again" not in caplog.text
    write(file, SMALL + "# changed")
    for _ in range(3):
        await inventory.read()
    assert caplog.text.count("were read again") == 1


async def test_a_driver_that_fails_on_command_is_unavailable_until_it_does_not(clock, file):
    inventory = SimulatedInventory("here", clock, file=file)
    await inventory.read()
    write(file, SMALL + "fail: the driver was updated")
    for ask in (inventory.read, inventory.processes, inventory.load):
        with pytest.raises(InventoryUnavailable, match=r"^the driver was updated$"):
            await ask()
    write(file, SMALL)
    assert len(await shown(inventory)) == 3


async def test_a_file_that_becomes_wrong_or_goes_away_is_a_failure_until_it_is_right(clock, file):
    inventory = SimulatedInventory("here", clock, file=file)
    for wrong in ("nodes: [", "", SMALL + "vanish: [77]"):
        write(file, wrong)
        for _ in range(2):
            with pytest.raises(InventoryUnavailable, match=str(file)):
                await inventory.read()
    file.unlink()
    with pytest.raises(InventoryUnavailable, match="No such file"):
        await inventory.read()
    write(file, SMALL)
    assert len(await shown(inventory)) == 3


def test_what_is_to_fail_and_does_not_exist_stops_the_start(clock, file):
    with pytest.raises(BadInput) as raised:
        SimulatedInventory("here", clock, file=write(file, SMALL + "failures: [{device: 9}]"))
    assert str(raised.value) == (
        f"{file}: failures: there is no simulated device '9' "
        "(docs/how-to/simulated-gpus.md says how it is written)"
    )


async def test_real_processes_that_name_a_device_use_it_and_outside_a_lease_they_are_strays(clock):
    inventory = SimulatedInventory("here", clock, ProcessTable())
    first, second, *_ = (row.uuid for row in (await inventory.read()).devices)
    rows = [
        lease("L1", first.removeprefix("GPU-"), user="ada"),
        lease("L2", second.removeprefix("GPU-"), user="bob"),
    ]
    with (
        running(lease="L1", env={"CUDA_VISIBLE_DEVICES": first}) as right,
        running(lease="L2", env={"CUDA_VISIBLE_DEVICES": f"{second},{first[:12]}"}) as both,
        running(env={"CUDA_VISIBLE_DEVICES": "0,void,GPU-,"}),
    ):
        uses = await inventory.processes()
        strays = find_strays(uses, rows)
    assert {(use.device, use.pid, use.lease_id) for use in uses} == {
        (first, right.pid, "L1"), (second, both.pid, "L2"), (first, both.pid, "L2"),
    }  # fmt: skip
    assert [(row.device, row.pid, row.owner, row.disturbed) for row in strays] == [
        (first, both.pid, "bob", ("ada",))
    ]


async def test_a_device_is_idle_until_a_process_has_it_and_then_follows_its_curve(clock, file):
    write(
        file,
        """
        nodes:
          - gpus:
              - {model: T4, memory: 1000, count: 2, use: {noise: 0, points: [
                  {at: 10s, utilisation: 0, memory: 10}, {at: 30s, utilisation: 80, memory: 50}]}}
        """,
    )
    table = Some()
    inventory = SimulatedInventory("here", clock, table, file=file)
    first, second = (row.uuid for row in (await inventory.read()).devices)
    assert await inventory.load() == [DeviceLoad(first, 0.0, 0), DeviceLoad(second, 0.0, 0)]
    table.rows = [Process(visible=first, age=2), Process(pid=8, visible=first, age=0)]
    expected = {2: (0.0, 100), 12: (8.0, 140), 20: (40.0, 300), 29: (76.0, 480), 900: (80.0, 500)}
    passed = 2
    for age, load in expected.items():
        clock.advance(timedelta(seconds=age - passed))
        passed = age
        assert await inventory.load() == [DeviceLoad(first, *load), DeviceLoad(second, 0.0, 0)]


async def test_a_curve_may_repeat_and_starts_anew_with_the_next_lease(clock, file):
    write(
        file,
        "nodes: [{gpus: [{model: T4, memory: 100, use: {repeat: true, noise: 0, points: ["
        "{at: 0s, utilisation: 0, memory: 0}, {at: 100s, utilisation: 100, memory: 100}]}}]}]",
    )
    table = Some()
    inventory = SimulatedInventory("here", clock, table, file=file)
    (only,) = (row.uuid for row in (await inventory.read()).devices)
    table.rows = [Process(visible=only, age=30)]
    assert await inventory.load() == [DeviceLoad(only, 30.0, 30)]
    clock.advance(timedelta(seconds=90))
    assert await inventory.load() == [DeviceLoad(only, 20.0, 20)]
    table.rows = [Process(visible=only, lease_id="L2", age=5)]
    assert await inventory.load() == [DeviceLoad(only, 5.0, 5)]


async def test_leases_that_share_a_chip_add_up_to_no_more_than_it_has(clock, file):
    steady = "use: {noise: 0, points: [{at: 0s, utilisation: 60, memory: 30}]}"
    write(
        file,
        "nodes: [{gpus: [{model: T4, memory: 1000, sharing: mps, shares: 4, " + steady + "}]}]",
    )
    table = Some()
    inventory = SimulatedInventory("here", clock, table, file=file)
    (only,) = (row.uuid for row in (await inventory.read()).devices)
    table.rows = [Process(pid=n, lease_id=f"L{n}", visible=only) for n in range(2)]
    assert await inventory.load() == [DeviceLoad(only, 100.0, 600)]


async def test_of_a_mig_device_or_a_failing_one_the_load_is_unknown(clock, file):
    write(
        file,
        "nodes: [{gpus: [{model: A, memory: 40960, mig: [7g.40gb]}, {model: B, memory: 9}]}]\n"
        "failures: [{device: 1}]",
    )
    table = Some()
    inventory = SimulatedInventory("here", clock, table, file=file)
    mig, sick = (row.uuid for row in (await inventory.read()).devices)
    table.rows = [Process(visible=f"{mig},{sick}", age=60)]
    assert await inventory.load() == [DeviceLoad(mig, None, 16384), DeviceLoad(sick, None, None)]


async def test_the_noise_depends_on_nothing_but_seed_device_and_time(file):
    async def loads(seed: int) -> list[float | None]:
        text = "nodes: [{name: n, gpus: [{model: T4, memory: 9}]}]\n"
        clock, table = ManualClock(), Some()
        inventory = SimulatedInventory("x", clock, table, file=write(file, f"{text}seed: {seed}"))
        table.rows = [Process(visible=(await inventory.read()).devices[0].uuid, age=60)]
        found = []
        for _ in range(30):
            clock.advance(timedelta(seconds=1))
            found.append((await inventory.load())[0].utilisation)
        return found

    assert await loads(1) == await loads(1) != await loads(2)
    assert len(set(await loads(1))) > 10
    assert all(80 <= value <= 90 for value in await loads(1))


async def test_a_device_that_does_nothing_makes_no_noise(clock, file):
    write(
        file,
        "nodes: [{gpus: [{model: T4, memory: 9, use: {noise: 50, points: ["
        "{at: 0s, utilisation: 0, memory: 0}]}}]}]",
    )
    table = Some()
    inventory = SimulatedInventory("here", clock, table, file=file)
    (only,) = (row.uuid for row in (await inventory.read()).devices)
    table.rows = [Process(visible=only)]
    for _ in range(5):
        clock.advance(timedelta(seconds=1))
        assert (await inventory.load())[0].utilisation == 0


async def test_processes_that_cannot_be_listed_are_a_failure(clock, tmp_path):
    inventory = SimulatedInventory("here", clock, ProcessTable(tmp_path / "no-proc"))
    assert (await inventory.read()).devices
    for ask in (inventory.processes, inventory.load):
        with pytest.raises(InventoryUnavailable, match="the simulated GPUs cannot be read"):
            await ask()
