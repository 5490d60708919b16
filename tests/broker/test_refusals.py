"""What the audit holds of refusals when the ledger fails, or decides a second time."""

import pytest

from mlhub.broker.ports import Page
from mlhub.core.decisions import Denied, Granted
from mlhub.core.errors import LedgerUnavailable
from mlhub.core.ledger import Anchor, Ledger
from tests.broker.world import World
from tests.core.making import MINUTE, NOON, lease


@pytest.fixture
async def world():
    return await World(gpus=2).open()


async def details(world):
    return [row.detail for _, row in (await world.store.audit("a", Page()))[::-1]]


async def locked(decide):
    """A ledger that decides and then cannot be written."""
    decide(Ledger(), Anchor(NOON, 0.0, "boot"))
    raise LedgerUnavailable("the database is locked")


async def test_refusals_that_the_ledger_could_not_take_are_in_the_audit_when_it_can(world):
    update, world.store.update = world.store.update, locked
    with pytest.raises(LedgerUnavailable):
        await world.ask("a", count=3)
    world.store.update = update
    for _ in range(3):
        await world.ask("a", count=3)
    assert len(await details(world)) == 1
    world.clock.advance(MINUTE)
    world.store.update = locked
    with pytest.raises(LedgerUnavailable):
        await world.broker.record_refusals()
    world.store.update = update
    await world.broker.record_refusals()
    assert [text.split(":")[0] for text in await details(world)] == [
        "too-many",
        "2 times more within a minute, the last time",
    ]


async def test_a_refusal_that_is_decided_twice_counts_once(world):
    update = world.store.update

    async def twice(decide):
        decide(Ledger(), Anchor(NOON, 0.0, "boot"))
        return await update(decide)

    world.store.update = twice
    for _ in range(3):
        await world.ask("a", count=3)
    world.clock.advance(MINUTE)
    await world.broker.record_refusals()
    assert [text.split(" ")[0] for text in await details(world)] == ["too-many:", "2"]


async def test_a_claim_that_is_granted_when_it_is_decided_again_was_never_refused(world):
    update = world.store.update

    async def twice(decide):
        full = Ledger(leases={row.id: row for row in (lease("l", "n1-0"), lease("m", "n1-1"))})
        decide(full, Anchor(world.clock.now(), 0.0, "boot"))
        return await update(decide)

    world.store.update = twice
    assert isinstance(await world.ask("a", key="full-at-first"), Granted)
    world.store.update = update
    for n in range(2):
        assert isinstance(await world.ask("a", key=f"refused-{n}", server="two", count=2), Denied)
    world.clock.advance(MINUTE)
    await world.broker.record_refusals()
    words = [text.split(" ")[0] for text in await details(world)]
    assert words == ["1", "no-capacity:", "once"]
