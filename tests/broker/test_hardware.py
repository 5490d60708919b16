"""The inventory as the broker uses it: who waits for the hardware, and what an answer costs."""

import asyncio

import pytest

from mlhub.adapters.clock import ManualClock
from mlhub.broker.hardware import FRESH, USED, Hardware
from mlhub.core.leases import LeaseStatus
from mlhub.core.policy import Policy
from tests.broker.world import SECOND, World
from tests.core.making import a100s, inventory


@pytest.fixture
def clock():
    return ManualClock()


class Slow:
    """Hardware that answers when it is let, and counts how often it was asked."""

    def __init__(self):
        self.go = asyncio.Event()
        self.go.set()
        self.asked = 0
        self.fails = None

    async def read(self):
        self.asked += 1
        await self.go.wait()
        if self.fails:
            raise self.fails
        return inventory(*a100s(self.asked))


async def test_nobody_waits_long_for_hardware_that_answered_before_and_it_is_asked_once(clock):
    source = Slow()
    hardware = Hardware(source, clock)
    first = await hardware.inventory()
    clock.advance(2 * USED * SECOND)
    source.go.clear()
    async with asyncio.timeout(5):
        asked = await asyncio.gather(*(hardware.inventory() for _ in range(20)))
    assert asked == [first] * 20
    assert source.asked == 2
    source.go.set()
    assert len((await hardware.inventory()).devices) == 2


async def test_what_is_fresh_enough_is_answered_at_once_while_the_hardware_is_asked(clock):
    source = Slow()
    hardware = Hardware(source, clock)
    first = await hardware.inventory()
    source.go.clear()
    clock.advance(FRESH * SECOND)
    sweep = asyncio.create_task(hardware.inventory(within=FRESH))
    await asyncio.sleep(0)
    async with asyncio.timeout(0):
        assert await hardware.inventory() is first
    source.go.set()
    assert len((await sweep).devices) == 2


async def test_the_first_answer_is_waited_for(clock):
    source = Slow()
    source.go.clear()
    hardware = Hardware(source, clock)
    asked = [asyncio.create_task(hardware.inventory()) for _ in range(3)]
    assert not (await asyncio.wait(asked, timeout=0.5))[0]
    source.go.set()
    assert [len(one.devices) for one in await asyncio.gather(*asked)] == [1, 1, 1]


async def test_an_answer_that_nobody_foresaw_is_a_problem_and_not_the_end(clock):
    source = Slow()
    hardware = Hardware(source, clock)
    await hardware.inventory()
    clock.advance(USED * SECOND)
    source.fails = ValueError("no number: 'N/A'")
    doubted = await hardware.inventory()
    assert "no number" in doubted.problem
    assert len(doubted.devices) == 1
    clock.advance(USED * SECOND)
    source.fails = None
    assert not (await hardware.inventory()).problem


async def test_a_turn_outlasts_a_driver_that_is_silent_after_a_restart():
    world = World(gpus=1)
    world.policy = Policy()  # the flavors are those of the hardware
    await world.open()
    flavor = world.stock.content.kinds[0].name
    holder = await world.ask("a", flavor=flavor)
    await world.ask("b", flavor=flavor, wait=True)
    await world.broker.release(holder.lease.id, by="a")
    world.hub.refuses = "not now"
    await world.tick(times=2)
    world.stock.broken = "the driver does not answer"
    world.wire()
    world.hub.refuses = ""
    await world.tick(61 * SECOND, times=3)
    assert (await world.live())["b"].status is LeaseStatus.HELD
    world.stock.broken = ""
    await world.tick(61 * SECOND, times=2)
    assert (await world.live())["b"].status is LeaseStatus.ACTIVE


async def test_pages_are_told_of_a_gpu_that_fails_and_of_one_that_returns():
    world = await World(gpus=2).open()
    await world.tick(times=2)
    world.told.topics.clear()
    await world.tick(times=5)
    assert world.told.topics == []
    whole = world.stock.content
    world.lose(0)
    await world.tick(3 * SECOND)
    assert world.told.topics == [("inventory", "")]
    world.stock.content = whole
    await world.tick(3 * SECOND)
    assert world.told.topics == [("inventory", "")] * 2
