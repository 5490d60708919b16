"""One who asks too often is told to wait, and takes nothing from anybody else."""

import asyncio
from datetime import datetime, timedelta

import pytest

from hub_services.quota import pace
from hub_services.quota.pace import Pace
from hub_services.quota.problems import Problem
from tests.services.quota.desk import Desk


async def statuses(desk: Desk, who: str, times: int, **body) -> list[int]:
    asks = (desk.claim(who, server=f"s{n}", count=9, **body) for n in range(times))
    return [answer.status for answer in await asyncio.gather(*asks)]


def slow(desk: Desk, burst: int) -> None:
    """From now on `burst` requests at once, and one more every 10 s."""
    desk.service.pace = Pace(burst, 0.1, desk.world.clock.monotonic)


async def test_who_asks_too_often_is_told_when_to_ask_again(desk: Desk):
    slow(desk, 5)
    assert await statuses(desk, "ada", 5) == [409] * 5
    answer = await desk.claim("ada")
    assert (answer.status, answer.body["type"]) == (429, "urn:mlhub:problem:too-many-requests")
    assert (answer.body["limit"], answer.body["used"], answer.body["unit"]) == (5, 5, "requests")
    assert answer.headers["Retry-After"] == "10"
    later = datetime.fromisoformat(answer.body["retry_at"]) - desk.service.now()
    assert timedelta(0) < later <= timedelta(seconds=10)
    assert (await desk.ask("GET", "me", who="ada")).status == 200
    desk.world.clock.advance(timedelta(seconds=10))
    assert (await desk.claim("ada")).status == 201
    assert (await desk.claim("ada")).status == 429


async def test_a_burst_that_is_refused_is_one_line_of_audit(desk: Desk):
    slow(desk, 1)
    assert sorted(await statuses(desk, "ada", 30)) == [409] + [429] * 29
    lines = [(row["actor"], row["action"]) for row in await desk.audit()]
    assert sorted(lines) == [("ada", "denied"), ("ada", "refused")]
    assert len((await desk.world.ledger()).claims) == 1


async def test_a_request_that_makes_no_sense_counts_too(desk: Desk):
    slow(desk, 2)
    found = [(await desk.ask("POST", "claims", who="ada", json={})).status for _ in range(3)]
    assert found == [422, 422, 429]
    assert (await desk.ask("DELETE", "claims/none", who="ada")).status == 429


async def test_what_the_hub_asks_for_one_user_takes_nothing_from_another(desk: Desk):
    slow(desk, 3)
    assert (await statuses(desk, "the spawner", 5, user="zoe", groups=[])).count(429) == 2
    assert (await desk.claim("the spawner", user="yan", groups=[])).status == 201
    tickets = [
        (await desk.ask("POST", "tickets", who="the spawner", json={"user": user})).status
        for user in ("zoe", "yan")
    ]
    assert tickets == [429, 201]


async def test_the_hubs_reports_of_a_server_are_never_refused(desk: Desk):
    lease = (await desk.lease("ada"))["id"]
    slow(desk, 1)
    for _ in range(3):
        path = f"leases/{lease}/holder"
        answer = await desk.ask("POST", path, who="the spawner", json={"pid": 7})
        assert answer.status == 200
    for _ in range(3):
        assert (await desk.ask("DELETE", f"leases/{lease}", who="the spawner")).status == 200


async def test_a_thousand_users_at_once_are_not_refused(desk: Desk):
    desk.service.pace = Pace()
    asks = (desk.claim("the spawner", user=f"user-{n}", groups=[]) for n in range(1000))
    found = [answer.status for answer in await asyncio.gather(*asks)]
    assert (found.count(201), found.count(503)) == (4, 996)


def test_who_asks_for_nothing_any_more_is_forgotten(monkeypatch):
    monkeypatch.setattr(pace, "MOST_KEPT", 3)
    now = [0.0]
    made = Pace(2, 1.0, lambda: now[0])
    for name in ("a", "b", "c"):
        made.count(name)
    now[0] = 10.0
    made.count("c")
    made.count("d")
    assert set(made._buckets) == {"c", "d"}
    made.count("d")
    with pytest.raises(Problem):
        made.count("d")
