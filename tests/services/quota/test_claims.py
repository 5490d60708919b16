"""Claims by HTTP: granted, queued, denied, repeated, taken back."""

import asyncio
from datetime import timedelta

import pytest

from mlhub.broker.ports import HubUser
from mlhub.core.policy import Limit
from tests.services.quota.desk import Desk


async def test_a_free_gpu_is_granted_at_once(desk: Desk):
    answer = await desk.claim("ada")
    assert answer.status == 201
    assert answer.body["state"] == "granted"
    lease = answer.body["lease"]
    assert (lease["user"], lease["count"], lease["status"]) == ("ada", 1, "held")
    assert len(lease["devices"]) == 1


async def test_the_inventory_counts_what_is_held(desk: Desk):
    await desk.lease("ada", count=3)
    answer = await desk.ask("GET", "inventory", who="bob")
    flavor = answer.body["flavors"][0]
    assert (flavor["total"], flavor["free"], flavor["held"], flavor["now"]) == (4, 1, 3, True)


async def test_who_may_wait_is_told_a_place_and_a_time(desk: Desk):
    await desk.lease("bob", count=4)
    answer = await desk.claim("ada", wait=True)
    assert answer.status == 202
    assert (answer.body["state"], answer.body["position"]) == ("queued", 1)
    assert answer.body["expected_at"] == answer.body["expected"]["expected"]
    assert answer.body["message"].startswith("You are 1st in the queue for A100 80 GB, about")


async def test_who_does_not_wait_is_refused_with_a_time_to_try_again(desk: Desk):
    await desk.lease("bob", count=4)
    answer = await desk.claim("ada")
    assert answer.status == 503
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.body["state"] == "denied"
    assert (answer.body["reason"], answer.body["limit"]) == ("no-capacity", 4)
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.body["retry_at"]
    stands = await desk.ask("GET", f"claims/{answer.body['claim']}", who="ada")
    assert (stands.status, stands.body["state"]) == (200, "denied")


async def test_a_waiting_claim_is_granted_when_a_gpu_is_given_back(desk: Desk):
    lease = await desk.lease("bob", count=4)
    claim = (await desk.claim("ada", wait=True)).body["claim"]
    await desk.ask("DELETE", f"leases/{lease['id']}", who="the spawner")
    await desk.world.tick()
    stands = (await desk.ask("GET", f"claims/{claim}", who="ada")).body
    assert (stands["state"], stands["lease"]["from_queue"]) == ("granted", True)


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        pytest.param({"flavor": "h100"}, 404, "unknown-flavor", id="a flavor that there is not"),
        pytest.param({"count": 5}, 409, "too-many", id="more than one node has"),
        pytest.param({"count": 3}, 403, "device-limit", id="more than the limit"),
        pytest.param({"duration": "2d"}, 403, "duration-limit", id="longer than the limit"),
    ],
)
async def test_a_denial_names_its_rule(desk: Desk, body, status, reason):
    limit = Limit(devices=2, duration=timedelta(days=1))
    desk.set_policy(everyone=limit)
    answer = await desk.claim("ada", **body)
    assert (answer.status, answer.body["state"], answer.body["reason"]) == (
        status, "denied", reason,
    )  # fmt: skip
    assert [row["action"] for row in await desk.audit()] == ["denied"]


@pytest.mark.parametrize("configured", [False, True], ids=["by device", "configured"])
async def test_a_claim_before_the_gpus_were_seen_is_to_be_asked_again(desk: Desk, configured):
    flavors = desk.world.broker.policy.flavors if configured else ()
    desk.set_policy(flavors=flavors)
    desk.world.stock.broken = "NVML: driver not loaded"
    answer = await desk.claim("ada", key="asked-too-early")
    assert (answer.status, answer.body["type"]) == (503, "urn:mlhub:problem:inventory-unavailable")
    assert (answer.headers["Retry-After"], "driver not loaded" in answer.body["detail"]) == (
        "5", True,
    )  # fmt: skip
    assert (await desk.world.ledger()).claims == {}
    desk.world.stock.broken = ""
    desk.world.clock.advance(timedelta(seconds=5))
    [flavor] = (await desk.ask("GET", "inventory", who="ada")).body["flavors"]
    assert (await desk.claim("ada", key="asked-too-early", flavor=flavor["name"])).status == 201
    desk.world.stock.broken = "NVML: driver not loaded"
    desk.world.clock.advance(timedelta(seconds=5))
    unknown = await desk.claim("ada", flavor="h100")
    assert (unknown.status, unknown.body["reason"]) == (404, "unknown-flavor")


async def test_a_claim_without_a_duration_never_asks_for_more_than_allowed(desk: Desk):
    desk.set_policy(everyone=Limit(duration=timedelta(hours=2)))
    lease = await desk.lease("ada")
    assert desk.span(lease) == timedelta(hours=2)


async def test_the_same_key_and_body_get_the_same_lease(desk: Desk):
    first = await desk.claim("ada", key="the-very-same", user_options={"a": 1, "b": [2]})
    again = await desk.claim("ada", key="the-very-same", user_options={"b": [2], "a": 1})
    assert (first.status, again.status) == (201, 201)
    assert first.body["lease"]["id"] == again.body["lease"]["id"]
    other = await desk.claim("ada", key="the-very-same", count=2)
    assert (other.status, other.body["type"]) == (409, "urn:mlhub:problem:conflict")
    assert (await desk.inventory())["held"] == 1


async def test_two_users_may_use_the_same_key(desk: Desk):
    mine = await desk.claim("ada", key="the-very-same")
    theirs = await desk.claim("bob", key="the-very-same")
    assert mine.body["lease"]["id"] != theirs.body["lease"]["id"]


async def test_two_clicks_at_once_make_one_lease(desk: Desk):
    answers = await asyncio.gather(*(desk.claim("ada", key="one-click-only") for _ in range(8)))
    assert {answer.status for answer in answers} == {201}
    assert len({answer.body["lease"]["id"] for answer in answers}) == 1
    assert (await desk.inventory())["held"] == 1


async def test_of_many_who_ask_at_once_as_many_are_granted_as_there_are_gpus(desk: Desk):
    asks = (desk.claim(who, server=f"s{i}") for i in range(10) for who in ("ada", "bob"))
    states = [answer.status for answer in await asyncio.gather(*asks)]
    assert (states.count(201), states.count(503)) == (4, 16)


async def test_leaving_the_queue_is_final_and_may_be_repeated(desk: Desk):
    await desk.lease("bob", count=4)
    claim = (await desk.claim("ada", key="to-be-left", wait=True)).body["claim"]
    for _ in range(2):
        answer = await desk.ask("DELETE", f"claims/{claim}", who="ada")
        assert (answer.status, answer.body["state"]) == (200, "cancelled")
    again = await desk.claim("ada", key="to-be-left", wait=True)
    assert (again.status, again.body["state"]) == (409, "cancelled")
    assert (await desk.ask("GET", "queue", who="ada")).body["items"] == []


async def test_the_spawner_asks_for_a_user_with_the_groups_that_it_names(desk: Desk):
    desk.set_policy(everyone=Limit(devices=0), members={"ml": Limit(devices=1)})
    refused = await desk.claim("the spawner", user="zoe", groups=[])
    assert (refused.status, refused.body["reason"]) == (403, "device-limit")
    assert (await desk.lease("the spawner", user="zoe", groups=["ml"]))["user"] == "zoe"


async def test_the_hub_is_asked_for_groups_that_are_not_named(desk: Desk):
    desk.set_policy(everyone=Limit(devices=0), members={"ml": Limit(devices=1)})
    desk.world.hub.users["zoe"] = HubUser("zoe", False, ("ml",))
    assert (await desk.lease("the spawner", user="zoe"))["user"] == "zoe"
    unknown = await desk.claim("the spawner", user="ghost")
    assert (unknown.status, unknown.body["type"]) == (404, "urn:mlhub:problem:unknown-user")


async def test_the_groups_of_a_users_own_claim_are_the_hubs(desk: Desk):
    desk.set_policy(everyone=Limit(devices=0), members={"ml": Limit(devices=1)})
    assert (await desk.claim("ada")).status == 201
    assert (await desk.claim("bob")).status == 403


@pytest.mark.parametrize("body", [{"user": "bob"}, {"groups": ["ml"]}, {"user": "bob", "count": 2}])
async def test_nobody_claims_for_another_user(desk: Desk, body):
    answer = await desk.claim("ada", **body)
    assert (answer.status, answer.body["type"]) == (403, "urn:mlhub:problem:forbidden")
    records = await desk.audit()
    assert [(row["actor"], row["action"]) for row in records] == [("ada", "refused")]
    assert (await desk.inventory())["held"] == 0


async def test_a_claim_whose_lease_is_over_says_why(desk: Desk):
    answer = await desk.claim("ada")
    lease = answer.body["lease"]["id"]
    await desk.ask("DELETE", f"leases/{lease}", who="the spawner")
    stands = (await desk.ask("GET", f"claims/{answer.body['claim']}", who="ada")).body
    assert (stands["state"], stands["lease"]["status"]) == ("granted", "ended")
    assert stands["lease"]["reason"] == "start-failed"
