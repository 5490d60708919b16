"""Places and forecasts that many readers share."""

from dataclasses import replace
from datetime import timedelta

from mlhub.core.policy import Limit
from tests.broker.world import World


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
