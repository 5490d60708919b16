"""Leases by HTTP: listed, given a holder, used, prolonged, ended."""

from datetime import datetime, timedelta

import pytest

from mlhub.core.policy import Limit
from tests.broker.world import SECOND
from tests.services.quota.desk import Desk


async def change(desk: Desk, lease: str, verb: str = "", *, who: str = "ada", **body):
    method = "POST" if verb else "DELETE"
    path = f"leases/{lease}/{verb}".rstrip("/")
    return await desk.ask(method, path, who=who, json=body)


async def test_a_holder_makes_a_lease_active(desk: Desk):
    lease = await desk.lease("ada")
    answer = await change(desk, lease["id"], "holder", who="the spawner", pid=7)
    assert (answer.status, answer.body["status"]) == (200, "active")
    assert answer.body["started_at"] == lease["granted_at"]
    again = await change(desk, lease["id"], "holder", who="the spawner", pid=7)
    assert again.body["status"] == "active"
    other = await change(desk, lease["id"], "holder", who="the spawner", pid=8)
    assert (other.status, other.body["detail"]) == (409, "This lease already has a holder")


@pytest.mark.parametrize("pid", [0, -1, 2**31, "7", 1.5, None])
async def test_a_holder_is_a_process_id(desk: Desk, pid):
    lease = await desk.lease("ada")
    answer = await change(desk, lease["id"], "holder", who="the spawner", pid=pid)
    assert (answer.status, answer.body["field"]) == (422, "pid")


async def test_a_process_that_does_not_run_holds_nothing(desk: Desk):
    lease = await desk.lease("ada")
    answer = await change(desk, lease["id"], "holder", who="the spawner", pid=404)
    assert (answer.status, answer.body["type"]) == (409, "urn:mlhub:problem:no-such-process")


async def test_a_holder_that_comes_too_late_is_told_to_end(desk: Desk):
    lease = await desk.lease("ada")
    await change(desk, lease["id"], who="the spawner")
    answer = await change(desk, lease["id"], "holder", who="the spawner", pid=7)
    assert (answer.status, answer.body["detail"]) == (409, "This lease is over: end the process.")


async def test_a_process_that_is_not_the_leases_holds_nothing(desk: Desk):
    lease = await desk.lease("ada")
    answer = await change(desk, lease["id"], "holder", who="the spawner", pid=13)
    assert (answer.status, answer.body["field"]) == (422, "pid")
    assert answer.body["problem"] == "process 13 is not ada's"
    assert (await desk.ask("GET", f"leases/{lease['id']}", who="ada")).body["status"] == "held"


async def test_the_first_use_closes_the_claim_window(desk: Desk):
    lease = await desk.lease("ada")
    first = (await change(desk, lease["id"], "used")).body["used_at"]
    desk.world.clock.advance(SECOND)
    assert (await change(desk, lease["id"], "used")).body["used_at"] == first is not None


async def test_a_lease_is_prolonged_while_nobody_waits(desk: Desk):
    lease = await desk.lease("ada")
    answer = await change(desk, lease["id"], "renew", duration="12h")
    assert desk.span(answer.body) == timedelta(hours=12)
    await desk.claim("bob", count=4, wait=True)
    refused = await change(desk, lease["id"], "renew", duration="24h")
    assert (refused.status, "1 waiting" in refused.body["detail"]) == (409, True)
    assert refused.body["type"] == "urn:mlhub:problem:others-wait"
    assert (refused.body["limit"], refused.body["used"], refused.body["unit"]) == (0, 1, "claims")
    turn = (await desk.ask("GET", "queue", who="bob")).body["items"][0]["expected"]["expected"]
    assert datetime.fromisoformat(refused.body["retry_at"]) == datetime.fromisoformat(turn)


async def test_a_lease_is_never_prolonged_beyond_the_limit(desk: Desk):
    desk.set_policy(everyone=Limit(duration=timedelta(hours=10)))
    lease = await desk.lease("ada")
    answer = await change(desk, lease["id"], "renew", duration="3d")
    assert desk.span(answer.body) == timedelta(hours=10)
    assert answer.body["outcome"] == "shortened"
    assert "the longest you may ask for is 10 h: it now ends in 10 h" in answer.body["message"]
    again = await change(desk, lease["id"], "renew", duration="3d")
    assert (again.status, "10 h from now is the most" in again.body["detail"]) == (409, True)
    assert (again.body["limit"], again.body["used"], again.body["unit"]) == (
        36_000, 36_000, "seconds",
    )  # fmt: skip
    less = (await change(desk, lease["id"], "renew", duration="1h")).body
    assert (less["outcome"], "nothing was changed" in less["message"]) == ("later-already", True)


async def test_an_owner_gives_a_lease_back_and_the_server_is_stopped(desk: Desk):
    lease = await running(desk, "ada")
    answer = await change(desk, lease)
    assert (answer.body["status"], answer.body["target"]) == ("ending", "ended")
    await desk.world.tick()
    assert ("ada", "") not in desk.world.hub.servers
    await desk.world.tick()
    over = (await desk.ask("GET", f"leases/{lease}", who="ada")).body
    assert (over["status"], over["reason"], over["by"]) == ("ended", "released", "ada")


async def running(desk: Desk, user: str) -> str:
    """A server that runs with a lease; the lease."""
    decision = await desk.world.spawn(user)
    return decision.lease.id


async def test_an_operator_gives_a_reason_that_the_user_is_told(desk: Desk):
    lease = await running(desk, "ada")
    await change(desk, lease, who="admin", why="the machine is needed for the exam")
    await desk.world.tick(times=2)
    me = (await desk.ask("GET", "me", who="ada")).body
    assert me["ended"][0]["why"] == "the machine is needed for the exam"
    assert [row["text"] for row in me["notices"]] == ["the machine is needed for the exam"]
    assert (await desk.ask("GET", "me", who="bob")).body["notices"] == []


@pytest.mark.parametrize("who", ["admin", "the operator"])
async def test_an_operator_who_gives_no_reason_ends_nobodys_lease(desk: Desk, who: str):
    lease = await running(desk, "ada")
    for body in ({}, {"why": "  "}):
        answer = await change(desk, lease, who=who, **body)
        assert (answer.status, answer.body["field"]) == (422, "why")
        assert answer.body["remedy"] == "say why you end it: ada is told"
    assert (await desk.ask("GET", f"leases/{lease}", who="ada")).body["target"] == "active"
    own = (await desk.lease("admin"))["id"]
    assert (await change(desk, own, who="admin")).status == 200


async def test_the_spawner_frees_the_gpu_of_a_process_that_ended(desk: Desk):
    lease = await running(desk, "ada")
    desk.world.hub.servers.clear()
    answer = await change(desk, lease, who="the spawner")
    assert (answer.body["status"], answer.body["reason"]) == ("ended", "stopped")
    assert (await desk.inventory())["free"] == 4
    again = await change(desk, lease, who="the spawner")
    assert (again.status, again.body["ended_at"]) == (200, answer.body["ended_at"])


async def test_a_gpu_is_not_free_while_its_holder_still_runs(desk: Desk):
    lease = await running(desk, "ada")
    answer = await change(desk, lease, who="the spawner")
    assert (answer.body["status"], (await desk.inventory())["free"]) == ("ending", 3)


async def test_a_lease_without_a_holder_ends_only_when_no_server_is_on_its_way(desk: Desk):
    lease = await desk.lease("ada")
    answer = await change(desk, lease["id"])
    assert answer.body["status"] == "ending"
    await desk.world.tick()
    assert (await desk.ask("GET", f"leases/{lease['id']}", who="ada")).body["status"] == "ended"


async def test_live_leases_come_in_pages_newest_first(desk: Desk):
    made = [(await desk.lease("ada", server=f"s{i}"))["id"] for i in range(3)]
    await desk.lease("bob")
    mine = (await desk.ask("GET", "leases", who="ada")).body
    assert sorted(row["id"] for row in mine["items"]) == sorted(made)
    assert mine["next"] is None
    found, before = [], ""
    while before is not None:
        page = (await desk.ask("GET", f"leases?limit=3{before}", who="admin")).body
        found += [row["id"] for row in page["items"]]
        before = f"&before={page['next']}" if page["next"] else None
    assert len(found) == len(set(found)) == 4


async def test_ended_leases_come_in_pages_newest_first(desk: Desk):
    for i in range(5):
        lease = await desk.lease("ada", server=f"s{i}")
        await change(desk, lease["id"], who="the spawner")
        desk.world.clock.advance(SECOND)
    first = (await desk.ask("GET", "leases?state=ended&limit=3", who="ada")).body
    rest = await desk.ask("GET", f"leases?state=ended&limit=3&before={first['next']}", who="ada")
    servers = [row["server"] for row in first["items"] + rest.body["items"]]
    assert servers == ["s4", "s3", "s2", "s1", "s0"]
    assert rest.body["next"] is None
    assert (await desk.ask("GET", "leases?state=ended", who="bob")).body["items"] == []


async def test_use_is_recorded_as_it_was_observed(desk: Desk):
    lease = await running(desk, "ada")
    await desk.world.tick(timedelta(minutes=30))
    desk.world.hub.servers.clear()
    await change(desk, lease, who="the spawner")
    rows = (await desk.ask("GET", "usage", who="ada")).body["items"]
    assert sum(row["hours"] for row in rows) == pytest.approx(0.5)
    assert {row["lease_id"] for row in rows} == {lease}
    assert (await desk.ask("GET", "usage", who="bob")).body["items"] == []


async def test_me_shows_limits_use_claims_and_leases(desk: Desk):
    desk.set_policy(everyone=Limit(devices=4, duration=timedelta(hours=9)))
    lease = await desk.lease("ada", count=3)
    await desk.claim("bob", count=2, wait=True)
    me = (await desk.ask("GET", "me", who="ada")).body
    assert (me["user"], me["groups"], me["operator"]) == ("ada", ["ml"], False)
    assert (me["limits"]["devices"], me["limits"]["duration_s"]) == (4, 9 * 3600)
    assert me["use"] == {"devices": 3, "memory_mib": 3 * 81920, "servers": 1}
    assert [row["id"] for row in me["leases"]] == [lease["id"]]
    assert me["leases"][0]["waiting"] == 1
    theirs = (await desk.ask("GET", "me", who="bob")).body["claims"]
    assert [(row["position"], row["mine"]) for row in theirs] == [(1, True)]


async def test_one_whom_their_own_limit_keeps_back_does_not_count_as_waiting_for_a_lease(
    desk: Desk,
):
    lease = await desk.lease("ada", count=3)
    await desk.lease("bob")
    await desk.claim("bob", server="second", wait=True)
    path = f"leases/{lease['id']}"
    assert (await desk.ask("GET", path, who="ada")).body["waiting"] == 1
    desk.set_policy(everyone=Limit(devices=1))
    assert (await desk.ask("GET", path, who="ada")).body["waiting"] == 0
    assert (await change(desk, lease["id"], "renew", duration="12h")).status == 200


async def test_the_queue_comes_in_pages(desk: Desk):
    await desk.lease("bob", count=4)
    for i in range(5):
        await desk.claim("ada", server=f"s{i}", wait=True)
        desk.world.clock.advance(SECOND)
    first = (await desk.ask("GET", "queue?limit=3", who="ada")).body
    rest = (await desk.ask("GET", f"queue?limit=3&after={first['next']}", who="ada")).body
    places = [(row["server"], row["position"]) for row in first["items"] + rest["items"]]
    assert places == [(f"s{i}", i + 1) for i in range(5)]
    assert rest["next"] is None


async def test_a_device_shows_its_state_and_its_holder_to_those_who_may_know(desk: Desk):
    lease = await desk.lease("ada")
    answer = (await desk.ask("GET", "inventory", who="ada")).body
    held = [row for row in answer["nodes"][0]["devices"] if row["state"] == "held"]
    assert [row["uuid"] for row in held] == lease["devices"]
    assert held[0]["holder"] == {"user": "ada", "server": "", "since": lease["granted_at"]}


async def test_a_flavor_that_one_may_not_use_says_why(desk: Desk):
    desk.set_policy(everyone=Limit(flavors=frozenset({"t4"})))
    flavor = await desk.inventory("ada")
    assert flavor["allowed"] is False
    assert flavor["why_not"] == "You may not use A100 80 GB; you may use: t4."


async def test_the_inventory_brings_the_askers_own_account_when_asked(desk: Desk):
    await desk.lease("bob", count=3)
    await desk.lease("ada")
    for server, who in (("two", "bob"), ("two", "ada"), ("three", "ada")):
        await desk.claim(who, server=server, wait=True)
        desk.world.clock.advance(SECOND)
    for who, places in (("ada", [2, 3]), ("bob", [1]), ("admin", [])):
        me = (await desk.ask("GET", "me", who=who)).body
        answer = (await desk.ask("GET", "inventory?devices=false&mine=true", who=who)).body
        assert answer["mine"] == {key: me[key] for key in ("limits", "use", "claims", "leases")}
        assert [row["position"] for row in answer["mine"]["claims"]] == places, who
        assert [row["user"] for row in answer["mine"]["leases"]] == [who] * bool(places)
        assert answer["nodes"] == []
    assert (await desk.ask("GET", "inventory", who="ada")).body["mine"] is None


async def test_what_one_may_use_is_not_mistaken_for_what_another_may(desk: Desk):
    rules = {"bob": Limit(flavors=frozenset({"t4"})), "ada": Limit(devices=0)}
    desk.set_policy(users=rules)
    said = {who: (await desk.inventory(who))["why_not"] for who in ("admin", "bob", "ada", "bob")}
    assert said == {
        "admin": "", "bob": "You may not use A100 80 GB; you may use: t4.",
        "ada": "You may not use GPUs.",
    }  # fmt: skip


async def test_devices_that_are_promised_to_the_first_in_the_queue_are_kept(desk: Desk):
    await desk.lease("bob", count=3, duration="1h")
    await desk.claim("ada", count=4, wait=True)
    flavor = await desk.inventory("ada")
    assert (flavor["free"], flavor["kept"], flavor["now"], flavor["waiting"]) == (1, 1, False, 1)
    coming = datetime.fromisoformat(flavor["expected"]["expected"])
    assert coming > desk.service.now()


async def test_the_doctor_examines_the_ledger(desk: Desk):
    await running(desk, "ada")
    await desk.world.tick(timedelta(minutes=1), times=4)  # several entries for one lease
    desk.service.vitals.swept()
    rows = (await desk.ask("GET", "doctor", who="admin")).body
    assert {row["invariant"] for row in rows} >= {"I1", "I2", "I3", "I5", "I6", "I7", "I11"}
    assert [row for row in rows if not row["ok"]] == []
    desk.set_policy(everyone=Limit(devices=0))
    broken = [row for row in (await desk.ask("GET", "doctor", who="admin")).body if not row["ok"]]
    assert [(row["invariant"], row["detail"]) for row in broken] == [
        ("I2", "ada holds 1 of 0 GPUs")
    ]
