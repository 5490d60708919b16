"""A database whose clock is not the machine's: every time in the ledger is the database's."""

from datetime import timedelta

import pytest

from mlhub.adapters.clock import SystemClock
from mlhub.adapters.processes import ProcessObserver
from mlhub.adapters.sql import SqlStore
from mlhub.broker.ports import Page
from mlhub.core.leases import LeaseStatus
from tests.adapters.running import running
from tests.broker.world import SECOND, World
from tests.core.making import HOUR

NEAR = 10 * SECOND


class SetWrongly(SystemClock):
    """The machine's clocks, the one on the wall set wrongly."""

    def __init__(self, by: timedelta) -> None:
        self.by = by

    def now(self):
        return super().now() + self.by


@pytest.fixture(params=(HOUR, -HOUR), ids=("machine-fast", "machine-slow"))
async def world(request, url):
    clock = SetWrongly(request.param)
    world = await World(clock=clock, store=SqlStore(url, clock, takeover=1)).open()
    world.broker.holders = ProcessObserver(clock, grace_s=0.3)
    yield world
    world.broker.holders.close()
    await world.store.close()


async def only_lease(world):
    return next(iter((await world.live()).values()))


@pytest.mark.parametrize("named", (True, False), ids=("named", "found"))
async def test_what_was_seen_of_a_process_is_written_in_the_databases_time(world, named):
    granted = await world.ask("a")
    assert abs(granted.lease.granted_at - world.clock.now()) > HOUR / 2
    with running(lease=granted.lease.id) as process:
        if named:
            holder = await world.broker.holders.holder_of(process.pid)
            await world.broker.attach(granted.lease.id, holder=holder.holder, age=holder.age)
        await world.sweep.once()
        held = await only_lease(world)
        assert held.status is LeaseStatus.ACTIVE
        assert timedelta(0) <= held.started_at - held.granted_at < NEAR
        assert timedelta(0) <= held.seen_at - held.started_at < NEAR
    await world.sweep.once()
    [(_, ended)] = await world.store.ended_leases("a", Page(10))
    assert timedelta(0) <= ended.ended_at - held.started_at < NEAR
    for _, entry in await world.store.usage("a", Page(10)):
        assert held.started_at <= entry.start < entry.end <= ended.ended_at
    assert await world.findings() == []
