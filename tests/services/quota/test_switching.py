"""Forms of the waiting page that start a server: what runs is stopped only for a GPU to be had."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest

from hub_services.quota.pages import switching
from mlhub.adapters.rehearsal import Server
from mlhub.broker.ports import ServerState
from mlhub.core.errors import HubUnavailable
from mlhub.core.leases import LeaseStatus
from mlhub.core.policy import Limit
from tests.core.making import A100, T4, a100s, device, inventory
from tests.services.quota.desk import Answer, Desk, until

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
    start = desk.world.hub.start

    async def by_profile(user: str, server: str, options: str) -> None:
        wanted = json.loads(options)
        named = {"flavor": wanted["gpu"], "count": 1} if "gpu" in wanted else wanted
        await start(user, server, json.dumps(named))

    desk.world.hub.start = by_profile


async def test_for_a_gpu_that_was_taken_meanwhile_no_server_is_stopped(desk: Desk):
    with_a_t4(desk)
    claim = await waiting(desk, profile="any", gpu="a100")
    await desk.lease("bob", flavor="t4", server="second")
    answer = await switch(desk, claim, flavor="t4", stop="yes")
    assert (answer.status, runs(desk)) == (409, True)
    assert "not free for you any more" in answer.body


async def test_nobody_takes_the_other_gpu_while_the_server_stops(desk: Desk):
    with_a_t4(desk)
    claim = await waiting(desk, profile="any", gpu="a100")
    stop, others = desk.world.hub.stop, []

    async def slow_stop(user: str, server: str) -> None:
        others.append((await desk.claim("bob", flavor="t4", server="second")).status)
        await stop(user, server)

    desk.world.hub.stop = slow_stop
    answer = await switch(desk, claim, flavor="t4", stop="yes")
    assert (answer.status, answer.headers["Location"]) == (303, "/user/ada/")
    assert others == [503]
    await desk.world.tick()
    lease = (await desk.world.live())["ada"]
    assert (lease.ask.flavor, lease.status) == ("t4", LeaseStatus.ACTIVE)
    assert desk.world.hub.servers["ada", ""].lease_id == lease.id


@pytest.mark.parametrize("flavor", ["", "t4"])
async def test_a_switch_that_is_cut_after_the_stop_is_ended_by_the_next_service(
    desk: Desk, flavor: str
):
    with_a_t4(desk)
    desk.world.users("ada")
    claim = await (waiting(desk, profile="any", gpu="a100") if flavor else granted(desk))
    stop, stopped = desk.world.hub.stop, asyncio.Event()

    async def stop_and_hang(user: str, server: str) -> None:
        await stop(user, server)
        stopped.set()
        await asyncio.Event().wait()

    desk.world.hub.stop = stop_and_hang
    if not flavor:  # the turn is nearly over, and must not lapse on the way
        desk.world.clock.advance(timedelta(minutes=9, seconds=50))
    sent = asyncio.create_task(switch(desk, claim, flavor=flavor, stop="yes"))
    await until(stopped.is_set)
    sent.cancel()
    desk.world.hub.stop = stop
    desk.world.policy = desk.world.broker.policy
    desk.world.wire()
    await desk.world.tick(timedelta(minutes=1, seconds=1), times=2)
    lease = (await desk.world.live())["ada"]
    assert (lease.ask.flavor, lease.status) == (flavor or "a100", LeaseStatus.ACTIVE)
    assert desk.world.hub.servers["ada", ""].lease_id == lease.id


async def test_where_a_limit_is_in_the_way_what_runs_gives_its_gpu_back_first(desk: Desk):
    with_a_t4(desk)
    t4s = (device("t", model="Tesla T4", memory=15360), device("u", model="Tesla T4", memory=15360))
    desk.world.stock.content = inventory(*a100s(4), *t4s)
    await desk.lease("bob", count=4)
    await desk.world.hub.start("ada", "", '{"flavor": "t4", "count": 1}')
    await desk.world.tick()
    answer = await desk.claim("ada", wait=True, user_options={"profile": "any", "gpu": "a100"})
    desk.set_policy(flavors=(A100, T4), everyone=Limit(devices=1))
    first = desk.world.hub.servers["ada", ""].lease_id
    answer = await switch(desk, answer.body["claim"], flavor="t4", stop="yes")
    assert (answer.status, answer.headers.get("Location")) == (303, "/user/ada/")
    assert desk.world.hub.servers["ada", ""].lease_id not in {"", first}


@pytest.mark.parametrize("limit", [Limit(devices=1), Limit(memory=20_000), Limit(servers=1)])
async def test_for_a_limit_that_stopping_cannot_cure_no_server_is_stopped(desk: Desk, limit: Limit):
    with_a_t4(desk)
    t4s = (device(name, model="Tesla T4", memory=15360) for name in "tuv")
    desk.world.stock.content = inventory(*a100s(4), *t4s)
    await desk.lease("bob", count=4)
    for server in ("", "second"):
        await desk.world.hub.start("ada", server, '{"flavor": "t4", "count": 1}')
    await desk.world.tick()
    answer = await desk.claim("ada", wait=True, user_options={"profile": "any", "gpu": "a100"})
    desk.set_policy(flavors=(A100, T4), everyone=limit)
    first = desk.world.hub.servers["ada", ""]
    answer = await switch(desk, answer.body["claim"], flavor="t4", stop="yes")
    assert (answer.status, desk.world.hub.servers["ada", ""] is first) == (409, True)
    assert "your server is as it was" in answer.body


async def test_a_hub_that_does_not_answer_for_a_moment_does_not_cut_a_switch(desk: Desk):
    claim = await granted(desk)
    state, looks = desk.world.hub.state, []

    async def away(user: str, server: str) -> ServerState:
        looks.append(user)
        if len(looks) in {2, 3}:
            raise HubUnavailable("JupyterHub does not answer.")
        return await state(user, server)

    desk.world.hub.state = away
    answer = await switch(desk, claim, stop="yes")
    assert (answer.status, answer.headers.get("Location")) == (303, "/user/ada/")
    assert len(looks) == 4


async def test_a_hub_that_stays_away_after_the_stop_is_told_with_what_comes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
):
    claim = await granted(desk)
    monkeypatch.setattr(switching, "STOP_PATIENCE", 0.1)
    state, looks = desk.world.hub.state, []

    async def away(user: str, server: str) -> ServerState:
        looks.append(user)
        if len(looks) > 1:
            raise HubUnavailable("JupyterHub does not answer.")
        return await state(user, server)

    desk.world.hub.state = away
    answer = await switch(desk, claim, stop="yes")
    assert answer.status == 503
    assert "Your server was stopped; JupyterHub does not answer" in answer.body
    assert "starts with its GPU by itself" in answer.body


async def test_a_service_that_ends_begins_no_switch(desk: Desk):
    claim = await granted(desk)
    desk.service.closing.set()
    answer = await switch(desk, claim, stop="yes")
    assert (answer.status, runs(desk)) == (503, True)
    assert "try again in a moment" in answer.body


async def test_a_gpu_that_is_refused_is_one_line_of_audit(desk: Desk):
    with_a_t4(desk)
    claim = await waiting(desk, profile="any", gpu="a100")
    desk.set_policy(flavors=(A100, T4), everyone=Limit(devices=0))
    before = await desk.audit()
    answer = await switch(desk, claim, flavor="t4", stop="yes")
    assert (answer.status, runs(desk)) == (409, True)
    assert len(await desk.audit()) == len(before) + 1


async def test_who_left_the_queue_switches_to_nothing(desk: Desk):
    with_a_t4(desk)
    claim = await waiting(desk, profile="any", gpu="a100")
    assert (await desk.ask("DELETE", f"claims/{claim}", who="ada")).status == 200
    for flavor in ("t4", "none", ""):
        answer = await switch(desk, claim, flavor=flavor, stop="yes")
        assert (answer.status, runs(desk)) == (409, True)


@pytest.mark.parametrize("turn", [True, False])
async def test_a_start_that_the_hub_refuses_says_what_one_still_has(desk: Desk, turn: bool):
    with_a_t4(desk)
    claim = await (granted(desk) if turn else waiting(desk, profile="any", gpu="a100"))
    desk.world.hub.refuses = "Sign in again first."
    answer = await switch(desk, claim, flavor="" if turn else "t4", stop="yes")
    assert (answer.status, "Sign in again first" in answer.body) == (409, True)
    assert "was stopped, and the other was not started" in answer.body
    assert "still kept for you" in answer.body


async def test_a_start_that_the_hub_refuses_costs_no_place_in_the_queue(desk: Desk):
    with_a_t4(desk)
    claim = await waiting(desk, profile="any", gpu="a100")
    desk.world.hub.servers.clear()
    before = (await desk.world.ledger()).claims[claim]
    desk.world.clock.advance(timedelta(minutes=5))
    behind = await desk.claim("admin", wait=True)
    desk.world.hub.refuses = "Sign in again first."
    answer = await switch(desk, claim, flavor="t4")
    assert (answer.status, "You keep your place in the queue" in answer.body) == (409, True)
    await desk.world.tick()
    ledger = await desk.world.ledger()
    assert ledger.claims[claim] == before
    assert "ada" not in await desk.world.live()
    place = (await desk.ask("GET", f"claims/{behind.body['claim']}", who="admin")).body["position"]
    assert place == 2


async def test_a_switch_ends_when_the_queue_starts_the_server_between_two_looks(desk: Desk):
    claim = await granted(desk)
    stop = desk.world.hub.stop

    async def stopped_and_started(user: str, server: str) -> None:
        await stop(user, server)
        lease = (await desk.world.live())["ada"]
        await desk.world.hub.start(user, server, lease.ask.options)
        await desk.world.tick()

    desk.world.hub.stop = stopped_and_started
    answer = await asyncio.wait_for(switch(desk, claim, stop="yes"), 20)
    assert (answer.status, answer.headers.get("Location")) == (303, "/user/ada/")
    assert (await desk.world.live())["ada"].status is LeaseStatus.ACTIVE
