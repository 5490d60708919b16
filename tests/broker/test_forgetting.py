"""When claims that were decided long ago are forgotten."""

import pytest

from mlhub.core.errors import LedgerUnavailable
from mlhub.core.ledger import Anchor
from tests.broker.world import World
from tests.core.making import HOUR, MINUTE


@pytest.fixture
async def world():
    world = await World(gpus=2).open()
    await world.tick()
    return world


async def test_old_claims_that_could_not_be_dropped_are_dropped_by_the_next_sweep(world):
    await world.ask("a", count=3)
    update = world.store.update

    async def locked(decide):
        decide(await world.ledger(), Anchor(world.clock.now(), 0.0, "boot"))
        raise LedgerUnavailable("the database is locked")

    world.store.update = locked
    with pytest.raises(LedgerUnavailable):
        await world.tick(HOUR + MINUTE)
    world.store.update = update
    await world.tick()
    assert (await world.ledger()).claims == {}


async def test_old_claims_are_dropped_when_it_is_time_though_the_clock_was_set_back(world):
    world.step_clock(-HOUR)
    await world.ask("a", count=3)
    await world.tick(HOUR + MINUTE)
    assert (await world.ledger()).claims == {}
