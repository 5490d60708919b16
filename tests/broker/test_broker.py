"""Claims, queue, leases and the sweep, as people meet them."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta

import pytest

from mlhub.adapters.rehearsal import Server
from mlhub.broker import sweeping
from mlhub.broker.ports import HubUser, Page
from mlhub.core.claims import Ask
from mlhub.core.decisions import Denied, Granted, Queued, Reason
from mlhub.core.errors import Conflict, HubRefused
from mlhub.core.leases import EndReason, LeaseStatus
from mlhub.core.policy import Limit
from tests.broker.world import SECOND, World
from tests.core.making import A100, HOUR, MINUTE, T4, a100s, device, inventory


@pytest.fixture
async def world():
    return await World(gpus=2).open()


async def test_a_claim_is_granted_and_its_server_holds_the_lease(world):
    decision = await world.spawn("a")
    assert isinstance(decision, Granted)
    await world.tick()
    assert (await world.live())["a"].status is LeaseStatus.ACTIVE


async def test_the_same_key_is_the_same_claim_and_another_body_is_a_conflict(world):
    first = await world.ask("a", key="k" * 8)
    again = await world.ask("a", key="k" * 8)
    assert isinstance(first, Granted)
    assert first.lease.id == again.lease.id
    assert len(await world.live()) == 1
    with pytest.raises(Conflict, match="Idempotency-Key"):
        await world.ask("a", key="k" * 8, count=2)


async def test_a_denial_is_repeated_word_for_word_for_its_key(world):
    first = await world.ask("a", key="k" * 8, count=3)
    world.lose(0)
    assert await world.ask("a", key="k" * 8, count=3) == first
    assert first.reason is Reason.TOO_MANY


async def test_a_denied_claim_may_be_asked_anew_after_an_hour(world):
    for n in range(5):
        await world.ask("a", key=f"denied-{n}", count=3)
    await world.tick()
    assert len((await world.ledger()).claims) == 5
    await world.tick(HOUR + MINUTE)
    assert (await world.ledger()).claims == {}
    assert isinstance(await world.ask("a", key="denied-0", count=1), Granted)


async def with_long_options(world):
    claims = (await world.ledger()).claims.values()
    return {claim.ask.user for claim in claims if len(claim.ask.options) > 99}


async def test_what_is_over_keeps_no_options_and_its_key_is_known_all_the_same(world):
    options = json.dumps({"note": "x" * 10_000})

    async def asks(user, options=options, **more):
        wish = Ask(user, "", "a100", more.pop("count", 1), HOUR, options=options, **more)
        return await world.broker.claim(wish, f"the-key-of-{user}")

    granted, _ = await asks("a"), await asks("b")
    waits, denied = await asks("c", wait=True), await asks("d", count=3)
    left = await asks("e", wait=True)
    await world.broker.cancel(left.claim.id, by="e")
    assert await with_long_options(world) == {"a", "b", "c"}
    assert await asks("d", count=3) == denied
    with pytest.raises(Conflict):
        await asks("d", json.dumps({"note": "y" * 10_000}), count=3)
    lease = (await world.ledger()).leases[granted.lease.id]
    assert lease.ask.options == options  # a start may still come
    await world.broker.release(lease.id, by="a")
    await world.tick(times=2)
    [(_, over), *_] = await world.store.ended_leases("a", Page())
    assert len(over.ask.options) < 100
    assert await with_long_options(world) == {"b", "c"}
    assert (await asks("a")).reason is Reason.CANCELLED
    assert (await world.live())["c"].ask.options == waits.claim.ask.options == options


async def test_a_loop_of_refusals_is_two_lines_of_audit_a_minute(world):
    for n in range(50):
        await world.ask("a", key=f"in-a-loop-{n}", count=3)
    await world.ask("b", key="only-once", count=3)
    await world.broker.record_refusals()
    lines = [row for _, row in await world.store.audit(None, Page())]
    assert [(row.user, row.action) for row in lines] == [("b", "denied"), ("a", "denied")]
    world.clock.advance(MINUTE)
    await world.broker.record_refusals()
    await world.broker.record_refusals()
    [(_, line), *others] = await world.store.audit("a", Page())
    assert len(others) == 1
    assert line.detail.startswith("49 times more within a minute, the last time: too-many: ")
    await world.ask("a", key="a-minute-later", count=3)
    assert len(await world.store.audit("a", Page())) == 3


async def test_a_full_house_refuses_with_the_place_one_would_have(world):
    await world.spawn("a", count=2)
    denied = await world.ask("b")
    assert isinstance(denied, Denied)
    assert denied.message.startswith("All 2 A100 80 GB are in use; you would be 1st in the queue")
    assert (denied.limit, denied.used) == (2, 2)
    assert denied.retry_at is not None


async def test_those_who_wait_keep_their_order_and_get_their_server_by_itself(world):
    await world.spawn("a", count=2)
    second, third = await world.ask("b", wait=True), await world.ask("c", wait=True, count=2)
    assert isinstance(second, Queued)
    assert (second.position, third.position) == (1, 2)
    await world.hub.stop("a", "")
    await world.tick(times=2)
    assert world.hub.servers.keys() == {("b", "")}
    assert (await world.live())["b"].from_queue
    await world.hub.stop("b", "")
    await world.tick(times=2)
    assert world.hub.servers.keys() == {("c", "")}


async def test_leaving_the_queue_lets_the_next_one_in(world):
    await world.spawn("a")
    large = await world.ask("b", wait=True, count=2)
    small = await world.ask("c", wait=True, hours=24)
    assert isinstance(small, Queued)
    await world.broker.cancel(large.claim.id, by="b")
    assert (await world.broker.cancel(large.claim.id, by="b")).why
    await world.tick()
    assert ("c", "") in world.hub.servers


async def test_a_new_ask_for_the_same_server_takes_the_place_of_the_waiting_one(world):
    await world.spawn("a", count=2)
    old = await world.ask("b", wait=True)
    await world.ask("b", wait=True, count=2)
    denied = await world.broker.standing(old.claim)
    assert (denied.reason, len((await world.ledger()).waiting())) == (Reason.CANCELLED, 1)


async def test_a_user_who_left_or_lost_the_right_while_waiting_is_passed_over():
    world = await World(gpus=1, members={"lab": Limit(devices=1)}, everyone=Limit(devices=0)).open()
    world.users("a", "b", "c", "d", groups=("lab",))
    await world.ask("a", groups=("lab",))
    for user in "bcd":
        await world.ask(user, groups=("lab",), wait=True)
    del world.hub.users["b"]
    world.hub.users["c"] = HubUser("c", False, ())
    await world.tick(MINUTE * 5, times=1)
    await world.tick(times=8)
    assert world.hub.servers.keys() == {("d", "")}
    reasons = [row.reason for _, row in await world.store.ended_leases(None, Page())]
    assert reasons.count(EndReason.NOT_ALLOWED) == 2


async def test_a_server_that_runs_already_is_offered_the_switch_and_not_restarted(world):
    await world.spawn("a")
    await world.spawn("b")
    await world.ask("a", wait=True)
    pid = world.hub.servers["a", ""].pid
    await world.hub.stop("b", "")
    await world.tick(times=3)
    assert world.hub.servers["a", ""].pid == pid
    assert world.told.events("a") == ["switch-offer"]
    await world.tick(MINUTE, times=11)
    assert world.told.events("a") == ["switch-offer"]
    assert world.hub.servers["a", ""].pid == pid
    assert len((await world.ledger()).leases) == 1


async def test_who_stops_their_own_server_within_their_turn_gets_the_gpu(world):
    await world.spawn("a", count=2)
    await world.ask("b", wait=True)
    world.hub.servers["b", ""] = Server(7, 0.0)
    await world.hub.stop("a", "")
    await world.tick(times=3)
    start_by = (await world.live())["b"].start_by
    await world.tick(MINUTE, times=8)
    assert (await world.live())["b"].start_by == start_by
    await world.hub.stop("b", "")
    await world.tick(MINUTE, times=2)
    assert (await world.live())["b"].status is LeaseStatus.ACTIVE


async def test_an_unvisited_server_from_the_queue_passes_on_after_the_claim_window(world):
    await world.spawn("a", count=2)
    await world.ask("b", wait=True, count=2)
    await world.ask("c", wait=True, count=2)
    await world.hub.stop("a", "")
    await world.tick(times=2)
    await world.tick(MINUTE, times=11)
    await world.tick(times=2)
    assert world.hub.servers.keys() == {("c", "")}
    await world.broker.use((await world.live())["c"].id)
    await world.tick(MINUTE, times=15)
    assert world.hub.servers.keys() == {("c", "")}


async def test_at_its_end_a_lease_is_warned_and_stopped_only_for_someone_who_waits(world):
    await world.spawn("a", count=2, hours=1)
    await world.tick(MINUTE, times=90)
    assert ("a", "") in world.hub.servers
    await world.ask("b", wait=True)
    await world.tick(MINUTE, times=29)
    assert world.told.events("a") == ["ending"]
    assert ("a", "") in world.hub.servers
    await world.tick(MINUTE, times=4)
    assert world.hub.servers.keys() == {("b", "")}


async def test_release_frees_the_devices_only_when_the_holder_is_gone(world):
    decision = await world.spawn("a", count=2)
    await world.ask("b", wait=True)
    world.hub.servers["a", ""].stubborn = True
    await world.broker.release(decision.lease.id, by="root", why="maintenance at noon")
    await world.tick(times=5)
    assert (await world.live())["a"].status is LeaseStatus.ENDING
    assert ("a", "released", "maintenance at noon") in world.told.texts
    await world.tick(times=30)
    assert world.hub.servers.keys() == {("b", "")}


async def test_a_crash_ends_the_lease_at_the_next_sweep(world):
    await world.spawn("a", count=2)
    await world.tick(times=90)
    del world.hub.servers["a", ""]
    await world.tick()
    assert not (await world.ledger()).leases
    usage = [row for _, row in await world.store.usage("a", Page())]
    assert sum((row.hours for row in usage), start=0) <= 2 * 90 / 3600 + 1e-4
    assert usage


async def test_a_user_who_restarts_a_crashed_server_at_once_is_not_refused_by_their_own_lease():
    world = await World(gpus=1, everyone=Limit(devices=1)).open()
    await world.spawn("a")
    del world.hub.servers["a", ""]
    assert isinstance(await world.spawn("a"), Granted)


async def test_a_start_that_fails_is_tried_again_and_then_passes_to_the_next(world):
    await world.spawn("a", count=2)
    await world.ask("b", wait=True, count=2)
    await world.ask("c", wait=True, count=2)
    world.hub.refuses = "please sign in again"
    await world.hub.stop("a", "")
    await world.tick(times=2)
    assert "start-refused" in world.told.events("b")
    await world.tick(MINUTE, times=11)
    world.hub.refuses = ""
    await world.tick(MINUTE, times=2)
    assert world.hub.servers.keys() == {("c", "")}


async def test_nothing_is_lost_when_the_hub_is_away_for_an_hour(world):
    await world.spawn("a", count=2)
    await world.ask("b", wait=True)
    world.hub.away = True
    del world.hub.servers["a", ""]
    await world.tick(times=3)
    assert (await world.live()).keys() == {"b"}
    world.hub.away = False
    await world.tick(MINUTE, times=2)
    assert world.hub.servers.keys() == {("b", "")}


async def test_unseen_processes_are_neither_ended_nor_billed(world):
    await world.spawn("a")
    await world.tick(times=61)
    world.hub.blind = True
    await world.tick(MINUTE, times=60)
    usage = [row for _, row in await world.store.usage("a", Page())]
    assert ("a", "") in world.hub.servers
    assert max(row.end for row in usage) < world.clock.now() - 59 * MINUTE


@pytest.mark.parametrize("step", [HOUR, -HOUR], ids=["forward", "back"])
async def test_a_step_of_the_clock_neither_shortens_nor_lengthens_a_lease(world, step):
    await world.spawn("a", count=2, hours=1)
    await world.ask("b", wait=True)
    await world.tick(MINUTE, times=10)
    world.step_clock(step)
    await world.tick(MINUTE, times=45)
    assert ("a", "") in world.hub.servers
    assert await world.findings() == []
    await world.tick(MINUTE, times=10)
    assert world.hub.servers.keys() == {("b", "")}
    hours = sum((row.hours for _, row in await world.store.usage("a", Page())), start=0)
    assert 1.9 < hours < 2.2


async def test_gpus_that_cannot_be_asked_are_given_out_for_a_minute_at_most(world):
    await world.tick()
    world.stock.broken = "the driver does not answer"
    await world.tick(SECOND * 3)
    assert isinstance(await world.ask("a"), Granted)
    await world.tick(MINUTE, times=2)
    denied = await world.ask("b")
    assert denied.reason is Reason.OUT_OF_SERVICE
    world.stock.broken = ""
    await world.tick(SECOND * 3)
    assert isinstance(await world.ask("c"), Granted)


async def test_the_holder_of_a_lost_device_is_told_once(world):
    await world.spawn("a", count=2)
    await world.tick()
    world.lose(0)
    await world.tick(SECOND * 3, times=5)
    assert world.told.events("a") == ["device-trouble"]


async def test_renewal_is_for_when_nobody_waits_and_never_longer_than_allowed():
    world = await World(gpus=1, everyone=Limit(duration=8 * HOUR)).open()
    lease = (await world.spawn("a")).lease
    await world.tick(HOUR)
    renewal = await world.broker.renew(lease.id, timedelta(days=30), by="a")
    assert renewal.lease.ends_at == world.clock.now() + 8 * HOUR
    assert "the longest you may ask for is 8 h" in renewal.message
    await world.ask("b", wait=True)
    refused = await world.broker.renew(lease.id, HOUR, by="a")
    assert (refused.refused, "1 waiting" in refused.message) == (True, True)
    assert (await world.live())["a"].ends_at == renewal.lease.ends_at
    await world.broker.release(lease.id, by="a")
    with pytest.raises(Conflict, match="over"):
        await world.broker.renew(lease.id, HOUR, by="a")


async def test_a_thousand_claims_at_once_get_exactly_the_devices_there_are():
    world = await World(gpus=100).open()
    asked = [world.ask("a", server=f"s{i}", key=f"key-{i:05d}") for i in range(1000)]
    decisions = await asyncio.gather(*asked)
    assert sum(isinstance(d, Granted) for d in decisions) == 100
    assert await world.findings() == []


async def test_a_holder_named_during_a_sweep_is_not_taken_for_gone(world):
    first = await world.ask("a")
    look = world.hub.observe

    async def slow(leases):
        seen = await look(leases)
        server = Server(77, world.clock.monotonic(), first.lease.id)
        world.hub.servers["a", ""] = server
        holder = f"{world.clock.boot()}/77"
        await world.broker.attach(first.lease.id, holder=holder, age=timedelta(0))
        return seen

    world.hub.observe = slow
    await world.sweep.once()
    world.hub.observe = look
    assert (await world.live())["a"].status is LeaseStatus.ACTIVE


async def test_one_who_is_refused_something_else_keeps_their_place(world):
    await world.spawn("a", count=2)
    first = await world.ask("b", wait=True)
    assert isinstance(await world.ask("b", wait=True, count=9), Denied)
    assert isinstance(await world.ask("b", wait=False), Denied)
    assert (await world.broker.standing(first.claim)).position == 1


async def test_asking_for_the_same_again_keeps_the_place(world):
    await world.spawn("a", count=2)
    await world.ask("b", wait=True)
    world.clock.advance(MINUTE)
    await world.ask("c", wait=True)
    again = await world.ask("b", wait=True, hours=4)
    assert again.position == 1


async def test_nobody_waits_in_more_places_than_allowed():
    world = await World(gpus=1, waiting_limit=2).open()
    await world.spawn("a")
    for server in ("one", "two"):
        assert isinstance(await world.ask("b", server=server, wait=True), Queued)
    denied = await world.ask("b", server="three", wait=True)
    assert (denied.reason, denied.limit, denied.used) == (Reason.QUEUE_LIMIT, 2, 2)
    assert isinstance(await world.ask("b", server="two", wait=True), Queued)


async def test_a_hub_that_is_away_costs_nobody_their_turn(world):
    await world.spawn("a", count=2)
    await world.ask("b", wait=True)
    world.hub.away = True
    del world.hub.servers["a", ""]
    await world.tick(MINUTE, times=20)
    world.hub.away = False
    await world.tick(MINUTE, times=2)
    assert world.hub.servers.keys() == {("b", "")}


async def test_a_lease_released_while_its_start_is_prepared_is_not_started(world):
    await world.spawn("a", count=2)
    await world.ask("b", wait=True)
    find = world.hub.user

    async def released_meanwhile(name):
        row = (await world.live())["b"]
        await world.broker.release(row.id, by="root", why="needed elsewhere")
        return await find(name)

    world.hub.user = released_meanwhile
    await world.hub.stop("a", "")
    await world.tick(times=5)
    assert world.hub.servers == {}


async def test_ending_an_old_lease_does_not_stop_the_server_that_was_started_again(world):
    old = (await world.spawn("a")).lease
    left_over = world.hub.servers.pop(("a", ""))
    world.hub.servers["a", "kernel that lived on"] = left_over
    await world.tick()
    await world.spawn("a")
    await world.tick()
    await world.broker.release(old.id, by="root", why="it is over")
    await world.tick(times=3)
    assert ("a", "") in world.hub.servers
    await world.tick(times=40)
    assert world.hub.servers.keys() == {("a", "")}


async def test_a_lease_goes_on_past_its_end_while_only_one_over_their_own_limit_waits():
    world = await World(gpus=2, everyone=Limit(devices=1)).open()
    await world.spawn("a", hours=1)
    await world.spawn("b", hours=1)
    world.broker.policy = replace(world.policy, everyone=Limit(devices=2))
    await world.ask("b", server="two", wait=True)
    world.broker.policy = world.policy
    await world.tick(MINUTE, times=120)
    assert sorted(await world.live()) == ["a", "b"]
    [claim] = (await world.ledger()).waiting()
    assert "Your limit is 1 GPU" in claim.blocked


async def whose_turn_has_come(user):
    """One A100, held for a user's turn, another user behind them, and a T4 that is free."""
    world = World(gpus=1, everyone=Limit(devices=1))
    world.policy = replace(world.policy, flavors=(A100, T4))
    world.stock.content = inventory(*a100s(1), device("t", model="Tesla T4"))
    await world.open()
    await world.spawn("a")
    await world.ask(user, wait=True)
    await world.ask("z", wait=True)
    world.users("z")
    world.hub.refuses = "please sign in again"
    await world.hub.stop("a", "")
    await world.tick(times=2)
    world.hub.refuses = ""
    return world


def t4(user, **more):
    options = '{"flavor": "t4", "count": 1}'
    return Ask(user, "", "t4", more.pop("count", 1), HOUR, options=options, **more)


async def test_a_turn_that_has_come_passes_on_when_its_owner_starts_something_else():
    world = await whose_turn_has_come("b")
    turn = (await world.live())["b"]
    assert isinstance(await world.hub.spawn(t4("b")), Granted)
    kept = (await world.ledger()).leases[turn.id]
    assert (kept.status, kept.by) == (LeaseStatus.ENDING, "b")
    assert await world.findings() == []
    await world.tick(times=3)
    assert world.hub.servers.keys() == {("b", ""), ("z", "")}
    over = await world.store.ended_lease(turn.id)
    assert (over.reason, over.why) == (
        EndReason.RELEASED,
        "you started something else for this server",
    )
    assert (await world.live())["b"].ask.flavor == "t4"


async def test_a_turn_stays_with_one_who_is_refused_something_else_or_asks_for_another_server():
    world = await whose_turn_has_come("b")
    turn = (await world.live())["b"]
    assert isinstance(await world.hub.spawn(t4("b", count=2)), Denied)
    refused = await world.broker.claim(replace(t4("b"), server="two"), "for-another-server")
    assert refused.reason is Reason.DEVICE_LIMIT
    assert (await world.live())["b"] == turn


async def test_no_page_is_woken_by_what_is_only_billed(world):
    await world.spawn("a")
    await world.tick(times=2)
    world.told.topics.clear()
    before = (await world.ledger()).revision
    await world.tick(times=130)
    assert (await world.ledger()).revision > before
    assert world.told.topics == []
    del world.hub.servers["a", ""]
    await world.tick()
    assert {("leases", "a"), ("queue", ""), ("inventory", "")} <= set(world.told.topics)


async def test_nobody_is_warned_for_one_who_is_given_a_gpu_in_the_same_sweep(world):
    await world.spawn("a", hours=1)
    await world.spawn("b", hours=8)
    await world.tick(MINUTE, times=29)
    await world.ask("c", wait=True)
    del world.hub.servers["b", ""]
    await world.tick(2 * MINUTE)
    await world.tick()
    assert world.hub.servers.keys() == {("a", ""), ("c", "")}
    assert world.told.events("a") == []


async def test_a_holder_who_was_warned_is_told_that_nobody_waits_any_more(world):
    await world.spawn("a", count=2, hours=1)
    await world.tick(MINUTE, times=40)
    claim = (await world.ask("b", wait=True)).claim
    await world.tick(MINUTE)
    await world.broker.cancel(claim.id, by="b")
    await world.tick(MINUTE, times=2)
    assert world.told.events("a") == ["ending", "goes-on"]


async def test_a_hub_that_hangs_does_not_hold_up_a_sweep_for_each_lease(world, monkeypatch):
    monkeypatch.setattr(sweeping, "HUB_PATIENCE", 1.0)
    hanging, asked = asyncio.Event(), []

    async def hangs(user, server):
        asked.append(user)
        await hanging.wait()

    world.hub.state = hangs
    for user in "ab":
        await world.broker.release((await world.ask(user)).lease.id, by=user)
    async with asyncio.timeout(1.9):
        await world.sweep.once()
    assert sorted(asked) == ["a", "b"]
    assert {row.status for row in (await world.live()).values()} == {LeaseStatus.ENDING}


async def test_the_gpu_of_one_who_may_not_have_a_server_goes_to_the_next_at_once(world):
    await world.spawn("a", count=2)
    await world.ask("b", wait=True, count=2)
    await world.ask("c", wait=True, count=2)
    world.hub.refuses = HubRefused("ask for an account", barred=True)
    await world.hub.stop("a", "")
    await world.tick(times=2)
    world.hub.refuses = ""
    await world.tick(times=4)
    assert world.hub.servers.keys() == {("c", "")}
    assert ("b", "released", "your server could not be started: ask for an account") in (
        world.told.texts
    )


async def test_one_whose_server_is_being_started_already_hears_no_refusal(world):
    await world.spawn("a", count=2)
    await world.ask("b", wait=True)
    world.hub.refuses = HubRefused("being started already", under_way=True)
    await world.hub.stop("a", "")
    await world.tick(times=3)
    assert (await world.live())["b"].status is LeaseStatus.HELD
    assert world.told.events("b") == []


async def test_what_a_refused_ask_would_give_up_is_given_to_nobody():
    """X keeps the turn that counts for the group, so the one behind them stays over the limit."""
    world = World(gpus=2, groups={"lab": Limit(devices=2)})
    t4s = [device(f"GPU-t4-{number}", model="Tesla T4") for number in range(2)]
    world.stock.content = inventory(*a100s(2), *t4s)
    world.policy = replace(world.policy, flavors=(A100, T4))
    await world.open()
    world.users("x", "z", groups=("lab",))
    await world.ask("b", flavor="t4", server="other")
    over = await world.ask("b", flavor="t4")
    holder = await world.spawn("a", count=2)
    await world.ask("x", count=2, wait=True, groups=("lab",))
    await world.ask("z", flavor="t4", wait=True, groups=("lab",))
    world.hub.refuses = "not now"  # the turn comes, and its server is not started
    await world.broker.release(holder.lease.id, by="a")
    await world.tick(times=2)
    await world.broker.release(over.lease.id, by="b")
    await world.tick()
    assert set(await world.live()) == {"x", "b"}
    refused = await world.ask("x", flavor="t4", count=2, groups=("lab",))
    assert refused.reason is Reason.NO_CAPACITY
    assert set(await world.live()) == {"x", "b"}
    await world.tick()
    assert set(await world.live()) == {"x", "b"}
    assert await world.findings() == []


async def test_a_claim_wakes_the_pages_of_those_whom_it_concerns_alone(world):
    first = await world.ask("a", key="k" * 8)
    assert ("queue", "") not in world.told.topics
    assert ("leases", "a") in world.told.topics
    world.told.topics.clear()
    assert (await world.ask("a", key="k" * 8)).lease == first.lease
    assert world.told.topics == []
    await world.ask("b", count=2, wait=True)
    assert ("queue", "") in world.told.topics


async def test_a_release_that_is_repeated_is_told_once(world):
    lease = (await world.spawn("a")).lease
    for _ in range(2):
        await world.broker.release(lease.id, by="operator", why="the node is repaired")
    assert world.told.events("a") == ["released"]


async def test_a_limit_on_memory_counts_what_the_devices_have(world):
    """Whatever the settings say of the flavor, or do not say."""
    unsaid = replace(A100, memory=0)
    world.policy = replace(world.policy, flavors=(unsaid,), everyone=Limit(memory=81_920))
    world.wire()
    assert isinstance(await world.spawn("a"), Granted)
    refused = await world.ask("a", server="second")
    assert refused.reason is Reason.MEMORY_LIMIT
    assert await world.findings() == []
