"""Forms of the waiting page that start a server: what runs is stopped only for a GPU to be had."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from mlhub.adapters.rehearsal import Server
from mlhub.core.leases import LeaseStatus
from tests.core.making import A100, T4, a100s, device, inventory
from tests.services.quota.desk import Answer, Desk

PROFILES = [{"display_name": "Any GPU", "slug": "any", "gpus": "any", "duration": "4h"}]
LONG = {"flavor": "a100", "count": 1, "note": "x" * 2000}


async def waiting(desk: Desk, **options: object) -> str:
    """Ada waits for an A100, that bob has all of, while her server runs without a GPU."""
    await desk.lease("bob", count=4)
    wanted = options or {"flavor": "a100", "count": 1}
    answer = await desk.claim("ada", wait=True, user_options=wanted)
    assert answer.body["state"] == "queued"
    desk.world.hub.servers["ada", ""] = Server(7, 0.0)
    return str(answer.body["claim"])


async def granted(desk: Desk, **options: object) -> str:
    """Ada's turn has come, and her server is left as it is until she says so."""
    claim = await waiting(desk, **options)
    bob = next(iter((await desk.world.ledger()).leases))
    await desk.world.broker.release(bob, by="bob")
    await desk.world.tick()
    (lease,) = (await desk.world.ledger()).leases.values()
    assert (lease.ask.user, lease.status) == ("ada", LeaseStatus.HELD)
    assert runs(desk)
    return claim


def runs(desk: Desk) -> bool:
    """Whether ada's server is still the one that was there before."""
    server = desk.world.hub.servers.get(("ada", ""))
    return server is not None and server.lease_id == ""


async def switch(desk: Desk, claim: str, **form: str) -> Answer:
    return await desk.ask("POST", f"/claims/{claim}/switch", who="ada", data=form)


async def test_at_ones_turn_the_server_is_stopped_and_starts_with_the_gpu(desk: Desk):
    claim = await granted(desk)
    answer = await switch(desk, claim)
    assert (answer.status, answer.headers["Location"].rpartition("?")[2]) == (303, "instead=mine")
    assert runs(desk)
    answer = await switch(desk, claim, stop="yes")
    assert (answer.status, answer.headers["Location"]) == (303, "/user/ada/")
    (lease,) = (await desk.world.ledger()).leases.values()
    assert lease.status is LeaseStatus.ACTIVE
    assert desk.world.hub.servers["ada", ""].lease_id == lease.id


async def test_a_second_click_does_not_stop_what_the_first_one_started(desk: Desk):
    claim = await granted(desk)
    await switch(desk, claim, stop="yes")
    first = desk.world.hub.servers["ada", ""]
    answer = await switch(desk, claim, stop="yes")
    assert (answer.status, answer.headers["Location"]) == (303, "/user/ada/")
    assert desk.world.hub.servers["ada", ""] is first


@pytest.mark.parametrize("swept", [True, False])
async def test_who_comes_after_their_turn_keeps_the_server_that_runs(desk: Desk, swept: bool):
    claim = await granted(desk)
    if swept:
        await desk.world.tick(desk.world.policy.start_timeout + timedelta(minutes=5))
    else:
        desk.world.clock.advance(desk.world.policy.start_timeout + timedelta(minutes=5))
    answer = await switch(desk, claim, stop="yes")
    assert (answer.status, runs(desk)) == (409, True)
    assert "Your turn is over" in answer.body
    assert "your server is as it was" in answer.body


async def test_who_still_waits_does_not_lose_the_server_that_runs(desk: Desk):
    claim = await waiting(desk)
    answer = await switch(desk, claim, stop="yes")
    assert (answer.status, runs(desk)) == (409, True)
    assert "not your turn yet" in answer.body


async def test_long_options_of_a_claim_that_joined_are_those_of_its_lease(desk: Desk):
    await granted(desk, **LONG)
    joined = await desk.claim("ada", user_options=LONG)
    assert joined.status == 201, joined.body
    answer = await switch(desk, joined.body["claim"], stop="yes")
    assert answer.status == 303
    (lease,) = (await desk.world.ledger()).leases.values()
    assert json.loads(lease.ask.options) == LONG
    assert lease.status is LeaseStatus.ACTIVE


def with_a_t4(desk: Desk) -> None:
    t4 = device("t", model="Tesla T4", memory=15360)
    desk.world.stock.content = inventory(*a100s(4), t4)
    desk.set_policy(flavors=(A100, T4))
    desk.service.profiles = PROFILES


async def test_for_a_gpu_that_was_taken_meanwhile_no_server_is_stopped(desk: Desk):
    with_a_t4(desk)
    claim = await waiting(desk, profile="any", gpu="a100")
    await desk.lease("bob", flavor="t4", server="second")
    answer = await switch(desk, claim, flavor="t4", stop="yes")
    assert (answer.status, runs(desk)) == (409, True)
    assert "not free for you any more" in answer.body


async def test_a_gpu_that_is_taken_while_the_server_stops_is_not_asked_for(desk: Desk):
    with_a_t4(desk)
    claim = await waiting(desk, profile="any", gpu="a100")
    stop = desk.world.hub.stop

    async def slow_stop(user: str, server: str) -> None:
        await desk.lease("bob", flavor="t4", server="second")
        await stop(user, server)

    desk.world.hub.stop = slow_stop
    answer = await switch(desk, claim, flavor="t4", stop="yes")
    assert answer.status == 409
    assert "Your server was stopped, and nothing was started" in answer.body
    assert (await desk.world.ledger()).claims[claim].waiting


async def test_who_left_the_queue_switches_to_nothing(desk: Desk):
    with_a_t4(desk)
    claim = await waiting(desk, profile="any", gpu="a100")
    assert (await desk.ask("DELETE", f"claims/{claim}", who="ada")).status == 200
    for flavor in ("t4", "none", ""):
        answer = await switch(desk, claim, flavor=flavor, stop="yes")
        assert (answer.status, runs(desk)) == (409, True)


@pytest.mark.parametrize(
    ("turn", "kept"), [(True, "still kept for you"), (False, "keep your place")]
)
async def test_a_start_that_the_hub_refuses_says_what_one_still_has(desk, turn: bool, kept: str):
    with_a_t4(desk)
    claim = await (granted(desk) if turn else waiting(desk, profile="any", gpu="a100"))
    desk.world.hub.refuses = "Sign in again first."
    answer = await switch(desk, claim, flavor="" if turn else "t4", stop="yes")
    assert (answer.status, "Sign in again first" in answer.body) == (409, True)
    assert kept in answer.body
