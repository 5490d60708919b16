"""Places and forecasts that many readers share."""

from dataclasses import replace
from datetime import timedelta

from mlhub.core.decisions import Reason
from mlhub.core.policy import Limit
from tests.broker.world import World
from tests.core.making import T4, a100s, device, inventory, sick


async def test_a_claim_without_a_forecast_does_not_have_the_others_worked_out_anew_each_time():
    world = await World(gpus=1, everyone=Limit(devices=2)).open()
    await world.spawn("a", hours=1)
    waits = [await world.ask(name, wait=True) for name in "bcd"]
    world.broker.outlook.policy = replace(world.policy, users={"b": Limit(devices=0)})
    world.clock.advance(timedelta(seconds=1))
    first = world.broker.outlook.line("a100", await world.ledger())
    assert waits[0].claim.id not in first.forecasts
    await world.broker.cancel(waits[1].claim.id, by="c")
    second = world.broker.outlook.line("a100", await world.ledger())
    assert list(second.places.values()) == [1, 2]
    assert second.forecasts is first.forecasts
    world.clock.advance(timedelta(seconds=1))
    third = world.broker.outlook.line("a100", await world.ledger())
    assert third.forecasts is not first.forecasts


async def told(world, claim):
    queued = await world.broker.standing(claim)
    return queued.reason, queued.message


async def test_who_waits_is_told_what_is_in_the_way():
    world = await World(gpus=2).open()
    await world.spawn("a", count=2)
    claim = (await world.ask("b", wait=True)).claim
    assert (await told(world, claim))[0] is Reason.NO_CAPACITY
    world.stock.content = inventory(sick(a100s(1)[0]))
    world.clock.advance(timedelta(minutes=1))
    await world.broker.hardware.inventory()
    reason, text = await told(world, claim)
    assert (reason, "Every A100 80 GB is out of service" in text) == (Reason.OUT_OF_SERVICE, True)
    world.broker.outlook.policy = replace(world.policy, flavors=(T4,))
    reason, text = await told(world, claim)
    assert (reason, text) == (
        Reason.UNKNOWN_FLAVOR, "a100 is no longer offered: leave the queue."
    )  # fmt: skip


async def test_who_is_passed_over_for_their_own_limit_is_told_that_one():
    world = await World(gpus=1, everyone=Limit(devices=2)).open()
    await world.spawn("a")
    claim = (await world.ask("b", wait=True)).claim
    rules = replace(world.policy, users={"b": Limit(devices=0)})
    world.broker.policy = world.broker.outlook.policy = rules
    await world.hub.stop("a", "")
    await world.tick(times=2)
    reason, text = await told(world, claim)
    assert reason is Reason.DEVICE_LIMIT
    assert "1st" not in text


async def test_a_refusal_names_the_place_behind_those_of_the_same_or_higher_priority():
    world = await World(gpus=1, priorities={"staff": 10}).open()
    await world.spawn("a")
    await world.ask("b", wait=True)
    assert "2nd in the queue" in (await world.ask("c")).message
    assert "1st in the queue" in (await world.ask("d", groups=("staff",))).message


async def test_a_kind_of_which_there_is_none_is_said_not_to_be_here():
    world = await World(gpus=1).open()
    world.stock.content = inventory(device("t", model="Tesla T4"))
    world.clock.advance(timedelta(minutes=1))
    assert (await world.ask("a")).message == "There is no A100 80 GB here now."
