"""Where a database keeps the time, this machine's clock may be off: nothing is told by it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest

from mlhub.adapters.clock import ManualClock
from mlhub.adapters.memory import MemoryStore
from mlhub.broker.ports import DeviceLoad
from tests.services.quota.desk import Desk, open_desk, until
from tests.services.quota.test_keeping import kept

OFF = timedelta(minutes=5)


class Database:
    """A clock that is ahead of this machine's, but runs as fast."""

    simulated = False

    def __init__(self, machine: ManualClock) -> None:
        self.machine = machine
        self.monotonic, self.boot = machine.monotonic, machine.boot

    def now(self) -> datetime:
        return self.machine.now() + OFF


class Busy:
    """Devices that work all the time."""

    async def processes(self):
        return []

    async def load(self):
        return [DeviceLoad("GPU-n1-0", 50.0, None)]


@pytest.fixture
async def apart(hub, tokens) -> AsyncIterator[Desk]:
    """A service whose database's clock is five minutes ahead of its own."""
    clock = ManualClock()
    store = MemoryStore(Database(clock))
    async with open_desk(hub, tokens, clock=clock, store=store) as desk:
        await desk.world.tick()
        yield desk


def seconds(later: str, earlier: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


async def test_one_who_is_refused_is_told_to_come_back_when_one_is_expected(apart: Desk):
    await apart.lease("ada", count=4, duration="40m")
    stock = (await apart.ask("GET", "inventory", who="bob")).body
    refused = await apart.claim("bob")
    wait = seconds(refused.body["retry_at"], stock["now"])
    assert 30 * 60 < wait < 50 * 60
    assert int(refused.headers["Retry-After"]) == pytest.approx(wait, abs=2)


async def test_the_inventory_says_by_which_time_it_tells_and_how_old_its_news_are(apart: Desk):
    lease = await apart.lease("ada", count=4)
    apart.world.stock.broken = "the driver hangs"
    apart.world.clock.advance(timedelta(seconds=40))
    stock = (await apart.ask("GET", "inventory", who="bob")).body
    assert seconds(stock["now"], lease["granted_at"]) == pytest.approx(40, abs=1)
    assert seconds(stock["now"], stock["taken_at"]) == pytest.approx(40, abs=2)
    assert stock["problem"]


async def test_a_page_tells_its_times_by_the_ledgers(apart: Desk):
    lease = await apart.lease("ada")
    page = (await apart.ask("GET", "/", who="ada")).body
    [now] = re.findall(r'data-now="([^"]+)"', page)
    assert seconds(now, lease["granted_at"]) == pytest.approx(0, abs=1)


async def test_the_pictures_of_the_use_are_of_the_leases_own_time(apart: Desk):
    apart.service.usage = Busy()
    async with kept(apart):
        await until(lambda: apart.service.recent.last)
    lease = await apart.lease("ada")
    noted = apart.service.recent.last
    assert abs(noted - datetime.fromisoformat(lease["granted_at"])) < timedelta(seconds=5)
