"""What My GPUs says a lease has cost is what it is billed: neither more nor less."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from hub_services.quota import spending
from tests.core.making import A100
from tests.services.quota.desk import Desk

MINUTE = timedelta(minutes=1)
PRICE = 12.0


@pytest.fixture
async def desk(desk: Desk) -> Desk:
    """Where an A100 costs something."""
    desk.set_policy(flavors=(replace(A100, price=Decimal(PRICE)),))
    return desk


async def shown(desk: Desk) -> float:
    page = (await desk.ask("GET", "/", who="ada")).body
    [told] = re.findall(r"([\d.]+) so far", page)
    return float(told)


async def billed(desk: Desk) -> float:
    rows: list[dict[str, Any]] = (await desk.ask("GET", "usage?limit=500", who="ada")).body["items"]
    return sum(row["hours"] * row["price"] for row in rows)


async def test_a_gpu_that_is_only_held_for_a_start_has_cost_nothing(desk: Desk):
    await desk.lease("ada")
    desk.world.clock.advance(4 * MINUTE)
    assert await shown(desk) == 0


async def test_what_was_used_is_told_as_it_is_billed_and_up_to_now(desk: Desk, monkeypatch):
    monkeypatch.setattr(spending, "AT_ONCE", 3)
    await desk.world.spawn("ada", count=2)
    await desk.world.tick(MINUTE, times=30)
    first = await shown(desk)
    assert first == pytest.approx(PRICE, rel=0.05)
    await desk.world.tick(MINUTE, times=30)
    assert await shown(desk) == pytest.approx(2 * first, rel=0.05)
    assert await shown(desk) == pytest.approx(await billed(desk), rel=0.05)


async def test_the_time_of_a_gpu_that_was_lost_is_not_told_as_a_cost(desk: Desk):
    await desk.world.spawn("ada")
    [lease] = (await desk.world.live()).values()
    await desk.world.tick(MINUTE, times=30)
    before = await shown(desk)
    [lost] = lease.placement.devices
    desk.world.lose(next(d.index for d in desk.world.stock.content.devices if d.uuid == lost))
    await desk.world.tick(MINUTE, times=60)
    assert await shown(desk) == pytest.approx(before, abs=PRICE / 20)
    assert await shown(desk) == pytest.approx(await billed(desk), abs=PRICE / 20)
