"""What people were told lately: each with its time, as long as it holds."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tests.services.quota.desk import Desk


async def notices(desk: Desk) -> dict[str, str]:
    """What ada reads on her page: the text and the time of each notice, by event."""
    me = (await desk.ask("GET", "me", who="ada")).body
    return {row["event"]: row["at"] for row in me["notices"]}


@pytest.mark.parametrize("event", ["ending", "goes-on", "switch-offer", "device-trouble"])
async def test_what_holds_for_a_lease_that_lives_goes_with_it(desk: Desk, event: str):
    lease = await desk.lease("ada")
    desk.service.bus.tell("ada", event, "something of this lease", lease["id"])
    desk.service.bus.tell("ada", "released", "the machine is needed", lease["id"])
    assert set(await notices(desk)) == {event, "released"}
    await desk.clear()
    assert set(await notices(desk)) == {"released"}


async def test_why_a_start_was_refused_is_still_read_when_the_turn_is_over(desk: Desk):
    desk.world.users("ada")
    await desk.lease("bob", count=4)
    assert (await desk.claim("ada", wait=True)).body["state"] == "queued"
    desk.world.hub.refuses = "Sign in again first."
    bob = next(iter((await desk.world.ledger()).leases))
    await desk.world.broker.release(bob, by="bob")
    await desk.world.tick()
    await desk.world.tick(timedelta(minutes=1), times=20)
    assert not (await desk.world.ledger()).leases_of("ada")
    assert "start-refused" in await notices(desk)
    assert "Sign in again first." in (await desk.ask("GET", "/", who="ada")).body


async def test_a_notice_says_when_it_was_told_in_the_ledgers_time(desk: Desk):
    await desk.lease("ada")
    desk.service.bus.tell("ada", "released", "the machine is needed")
    now = desk.service.ledger_now()
    at = datetime.fromisoformat((await notices(desk))["released"])
    assert timedelta(0) <= now - at < timedelta(minutes=1)
    page = (await desk.ask("GET", "/", who="ada")).body
    assert f'the machine is needed</span> <small class="note"><time datetime="{at:%Y-%m-%d}' in page


async def test_what_is_kept_for_the_queue_is_not_called_free(desk: Desk):
    await desk.lease("bob", count=3)
    await desk.claim("ada", count=2, wait=True)
    for path in ("/", "/who"):
        page = (await desk.ask("GET", path, who="ada")).body
        said = " ".join(page.split())
        assert "0 of 4 free" in said or "0 <small>of 4 free" in said
