"""What the waiting page says of a claim, state by state."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from hub_services.quota.hub_word import HubWord
from mlhub.broker.ports import ServerState
from mlhub.core.leases import END_TEXTS, EndReason
from tests.services.quota.desk import Desk


async def text(desk: Desk, claim: str) -> tuple[str, str]:
    """The page's title and what it says."""
    answer = await desk.ask("GET", f"/waiting/{claim}", who="ada")
    assert answer.status == 200
    title = re.search(r'data-title="([^"]*)"', answer.body)
    (section,) = re.findall(r'<section class="place".*?</section>', answer.body, re.DOTALL)
    assert title is not None
    return title[1], " ".join(re.sub(r"<[^>]+>", " ", section).split())


async def test_while_one_has_the_gpu_the_page_says_so(desk: Desk):
    lease = await desk.lease("ada")
    title, said = await text(desk, lease["claim_id"])
    assert title == "Your turn"
    assert "1 × A100 80 GB is yours" in said


@pytest.mark.parametrize("reason", [EndReason.UNUSED, EndReason.EXPIRED, EndReason.RELEASED])
async def test_after_the_end_the_page_says_that_and_why(desk: Desk, reason: EndReason):
    lease = await desk.lease("ada")
    await desk.world.broker.release(lease["id"], by="broker", reason=reason)
    await desk.world.tick(timedelta(seconds=1), times=2)
    assert not (await desk.world.ledger()).leases
    title, said = await text(desk, lease["claim_id"])
    assert title == "It is over"
    assert f"You no longer have 1 × A100 80 GB: {END_TEXTS[reason]}." in said
    assert "Start a server" in said
    assert "yours" not in said


async def test_a_page_of_what_is_over_does_not_load_itself_again_and_again(desk: Desk):
    lease = await desk.lease("ada")
    page = f"/waiting/{lease['claim_id']}"
    assert 'http-equiv="refresh"' in (await desk.ask("GET", page, who="ada")).body
    await desk.clear()
    assert 'http-equiv="refresh"' not in (await desk.ask("GET", page, who="ada")).body


async def test_who_waits_sees_their_place_and_who_left_that_they_did(desk: Desk):
    await desk.lease("bob", count=4)
    claim = (await desk.claim("ada", wait=True)).body["claim"]
    assert (await text(desk, claim))[0] == "1st in the queue"
    await desk.ask("DELETE", f"claims/{claim}", who="ada")
    title, said = await text(desk, claim)
    assert (title, "You left the queue" in said) == ("Left the queue", True)


async def test_many_looks_at_a_waiting_page_ask_the_hub_once(desk: Desk):
    asked, now = [], 0.0
    state = desk.world.hub.state

    async def counted(user: str, server: str) -> ServerState:
        asked.append(user)
        return await state(user, server)

    desk.world.hub.state = counted
    desk.service.hub_word = HubWord(lambda: now)
    await desk.lease("bob", count=4)
    claim = (await desk.claim("ada", wait=True)).body["claim"]
    for _ in range(4):
        await text(desk, claim)
    assert asked == ["ada"]
    await desk.ask("GET", f"/waiting/{claim}?instead=none", who="ada")
    assert asked == ["ada"] * 2
    now = 6.0
    await text(desk, claim)
    assert asked == ["ada"] * 3
    await desk.world.broker.release((await desk.world.live())["bob"].id, by="bob")
    await desk.world.sweep.once()
    asked.clear()
    await text(desk, claim)
    assert asked == ["ada"], "their turn came: the hub is asked anew"
