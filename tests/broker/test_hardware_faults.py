"""GPUs that fail, vanish, appear or cannot be asked, by the real sources: what people are told."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from decimal import Decimal

import pynvml
import pytest

from mlhub.adapters.clock import ManualClock
from mlhub.adapters.nvml import NvmlInventory
from mlhub.adapters.simulated import SimulatedInventory
from mlhub.broker.ports import Page
from mlhub.core.decisions import Denied, Granted
from mlhub.core.policy import Policy
from tests.adapters.nvml_library import Chip, Library
from tests.broker.world import SECOND, World
from tests.core.making import A100, MINUTE

LOOK = 3 * SECOND  # after so long the hardware is asked again
MODEL = "NVIDIA A100 80GB PCIe"


class Simulated:
    """Two simulated GPUs, and their failures by the file."""

    def __init__(self, folder, clock):
        self.file = folder / "gpus.yaml"
        self.says = {"vanish": [], "failures": [], "fail": ""}
        self.count = 2
        self.write()
        self.source = SimulatedInventory("n1", clock, file=self.file)

    def write(self):
        before = self.file.stat().st_mtime_ns if self.file.exists() else 0
        gpus = [{"model": MODEL, "memory": "80GiB", "count": self.count}]
        self.file.write_text(json.dumps({"nodes": [{"gpus": gpus}], **self.says}))
        os.utime(self.file, ns=(before + 10**9, before + 10**9))

    def change(self, **says):
        self.says.update(says)
        self.write()

    def sicken(self, index):
        self.change(failures=[{"device": index, "trouble": "it reports errors"}])

    def lose(self, index):
        self.change(vanish=[index])

    def mend(self):
        self.change(vanish=[], failures=[], fail="")

    def silence(self):
        self.change(fail="the driver does not answer")

    def add(self):
        self.count += 1
        self.write()


class Nvml:
    """Two GPUs as NVML shows them, and its failures."""

    def __init__(self, folder, clock):
        self.folder = folder
        self.library = Library(Chip("GPU-0"), Chip("GPU-1"))
        self.all = list(self.library.chips)
        self.source = NvmlInventory(
            "n1", clock, lambda pid: ("", ""), library=self.library, gpus=folder
        )
        self.list()

    def list(self):
        """The driver lists what it drives; a change makes the source look anew."""
        for entry in self.folder.iterdir():
            entry.rmdir()
        for chip in self.library.chips:
            (self.folder / chip.uuid).mkdir()

    def sicken(self, index):
        self.all[index].recovery = pynvml.NVML_GPU_RECOVERY_ACTION_GPU_RESET

    def lose(self, index):
        self.library.chips.remove(self.all[index])
        self.list()

    def mend(self):
        self.library.broken = 0
        self.library.chips = list(self.all)
        for chip in self.all:
            chip.recovery = pynvml.NVML_GPU_RECOVERY_ACTION_NONE
        self.list()

    def silence(self):
        self.library.broken = pynvml.NVML_ERROR_UNKNOWN

    def add(self):
        self.all.append(Chip("GPU-2"))
        self.mend()


@pytest.fixture(params=(Simulated, Nvml))
async def world(request, tmp_path):
    """A world on that hardware, where a GPU costs 60 credits an hour."""
    clock = ManualClock()
    (tmp_path / "gpus").mkdir()
    world = World(clock=clock)
    world.gpus = request.param(tmp_path / "gpus", clock)
    world.policy = Policy(flavors=(replace(A100, price=Decimal(60)),))
    await world.open()
    world.broker.hardware.source = world.gpus.source
    await settle(world)
    yield world
    world.gpus.source.close()


async def settle(world, span=LOOK):
    """Time passes and everybody looks; whatever happens, the invariants hold."""
    await world.tick(span)
    await world.tick(SECOND)
    world.stock.content = world.broker.hardware.last()
    assert await world.findings() == []


def index_of(world, lease):
    devices = world.broker.hardware.last().devices
    return next(d.index for d in devices if d.uuid in lease.placement.devices)


def said(world, user):
    return [text for name, event, text in world.told.texts if (name, event) == (user, TROUBLE)]


TROUBLE = "device-trouble"


async def test_the_holder_of_a_lost_gpu_is_told_keeps_it_and_pays_nothing_until_it_is_back(world):
    lease = (await world.spawn("a")).lease
    await settle(world)
    world.gpus.lose(index_of(world, lease))
    await settle(world)
    [text] = said(world, "a")
    assert "it is no longer there" in text
    assert "stop your server and start it again: it gets another GPU" in text
    assert text.endswith("While it is gone it costs you nothing.")
    assert (await world.live())["a"].id == lease.id
    for _ in range(3):
        await settle(world, MINUTE)
    world.gpus.mend()
    await settle(world)
    for _ in range(3):
        await settle(world, MINUTE)
    assert len(said(world, "a")) == 2
    assert said(world, "a")[1] == "The GPU of your server that had failed is well again."
    entries = [row for _, row in await world.store.usage("a", Page(100))][::-1]
    assert {row.price for row in entries} == {Decimal(0), Decimal(60)}
    free = sum((row.end - row.start for row in entries if not row.price), start=0 * SECOND)
    assert 3 * MINUTE <= free <= 5 * MINUTE


async def test_a_lost_gpu_is_given_to_nobody_and_a_second_loss_is_told_again(world):
    lease = (await world.spawn("a")).lease
    await settle(world)
    index = index_of(world, lease)
    for _ in range(2):
        world.gpus.lose(index)
        await settle(world)
        world.gpus.mend()
        await settle(world)
    assert len(said(world, "a")) == 4
    world.gpus.lose(index)
    await world.hub.stop("a", "")
    await settle(world)
    assert isinstance(await world.spawn("b"), Granted)
    assert isinstance(await world.spawn("c"), Denied)


async def test_the_holder_of_a_sick_gpu_gets_another_one_by_starting_again(world):
    lease = (await world.spawn("a")).lease
    await settle(world)
    world.gpus.sicken(index_of(world, lease))
    await settle(world)
    [text] = said(world, "a")
    assert "costs you nothing" not in text
    await world.hub.stop("a", "")
    await settle(world)
    again = (await world.spawn("a")).lease
    assert again.placement.devices != lease.placement.devices


async def test_a_lease_of_two_pays_for_the_one_that_is_left(world):
    await world.spawn("a", count=2)
    await settle(world)
    world.gpus.lose(0)
    for _ in range(3):
        await settle(world, MINUTE)
    prices = {row.price for _, row in await world.store.usage("a", Page(100))}
    assert Decimal(30) in prices


async def test_while_the_driver_fails_nothing_changes_and_after_a_minute_nothing_is_given_out(
    world,
):
    await world.spawn("a")
    await settle(world)
    world.gpus.silence()
    await settle(world)
    assert world.broker.hardware.last().problem
    assert said(world, "a") == []
    await settle(world, 2 * MINUTE)
    assert not isinstance(await world.spawn("b"), Granted)
    assert (await world.live()).keys() == {"a"}
    world.gpus.mend()
    await settle(world)
    assert isinstance(await world.spawn("b"), Granted)
    entries = [row for _, row in await world.store.usage("a", Page(100))]
    assert {row.price for row in entries} == {Decimal(60)}, "what is not known is not lost"


async def test_a_new_gpu_goes_to_the_first_who_waits(world):
    await world.spawn("a", count=2)
    await settle(world)
    await world.ask("b", wait=True)
    await world.ask("c", wait=True)
    world.gpus.add()
    await settle(world)
    assert world.hub.servers.keys() == {("a", ""), ("b", "")}
