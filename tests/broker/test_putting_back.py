"""A claim that was left for something else, whose start came to nothing."""

import json
from dataclasses import replace

import pytest

from mlhub.core.claims import Ask, ClaimState
from tests.broker.world import World
from tests.core.making import HOUR, MINUTE


@pytest.fixture
async def world():
    return await World(gpus=2).open()


async def test_a_claim_left_for_a_lease_that_came_to_nothing_waits_in_its_place_again(world):
    await world.spawn("a", count=2)
    options = json.dumps({"note": "x" * 10_000})
    wish = Ask("b", "", "a100", 1, HOUR, options=options, wait=True)
    left = (await world.broker.claim(wish, "the-key-of-b")).claim
    world.clock.advance(MINUTE)
    behind = await world.ask("c", wait=True)
    other = (await world.broker.claim(replace(wish, count=2), "another-key")).claim
    await world.broker.put_back(left, "none")
    assert (await world.ledger()).claims[left.id].state is ClaimState.CANCELLED
    await world.broker.cancel(other.id, by="b")
    await world.broker.put_back(left, "none")
    assert (await world.ledger()).claims[left.id] == left
    assert (await world.broker.standing(left)).position == 1
    assert (await world.broker.standing(behind.claim)).position == 2
    assert ("queue", "b") in world.told.topics


async def test_no_claim_is_put_back_while_a_server_runs_on_what_it_was_left_for(world):
    await world.spawn("a", count=2)
    await world.tick()
    left = (await world.ask("b", wait=True)).claim
    await world.broker.cancel(left.id, by="b")
    a = (await world.live())["a"]
    await world.broker.put_back(left, a.id)
    assert (await world.ledger()).claims[left.id].state is ClaimState.CANCELLED
    assert (await world.live())["a"] == a
