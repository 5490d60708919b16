"""The loops of the service: they go on after an error, and tell whom it concerns, once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from hub_services.quota import keeping
from hub_services.quota.keeping import Keeper
from mlhub.broker.ports import DeviceUse
from mlhub.core.errors import InventoryUnavailable, LedgerUnavailable, NotOwner
from tests.services.quota.desk import Desk, until


class Uses:
    """What runs on the devices, because a test says so."""

    def __init__(self) -> None:
        self.rows: list[DeviceUse] = []
        self.looks = 0
        self.broken = False

    async def processes(self) -> list[DeviceUse]:
        self.looks += 1
        if self.broken:
            raise InventoryUnavailable("NVML hangs")
        return self.rows

    async def load(self):
        return []


@asynccontextmanager
async def kept(desk: Desk) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(Keeper(desk.service).run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EVERY", "SOON", "STRAYS_EVERY", "LONGEST_PAUSE"):
        monkeypatch.setattr(keeping, name, 0.02)


async def test_a_sweep_that_goes_through_makes_the_service_ready(desk: Desk, quick):
    async with kept(desk):
        await until(lambda: desk.service.vitals.sweep_age is not None)
    assert (await desk.ask("GET", "/readyz")).status == 200


async def test_a_ledger_that_is_away_turns_readiness_red_until_it_is_back(desk: Desk, quick):
    broker, vitals = desk.service.broker, desk.service.vitals
    found = broker.transact

    async def away(_):
        raise LedgerUnavailable("the database is locked")

    async with kept(desk):
        await until(lambda: vitals.sweep_age is not None)
        broker.transact = away
        await until(lambda: vitals.trouble)
        answer = await desk.ask("GET", "/readyz")
        assert answer.status == 503
        assert "the last sweep failed: the database is locked" in answer.body["reasons"]
        broker.transact = found
        await until(lambda: not vitals.trouble)
    metrics = (await desk.ask("GET", "/metrics")).body
    errors = next(row for row in metrics.splitlines() if row.startswith("mlhub_store_errors_total"))
    assert float(errors.split()[1]) >= 1


async def test_an_error_nobody_foresaw_is_logged_and_the_sweep_goes_on(desk, quick, caplog):
    hardware = desk.service.broker.hardware
    inventory = hardware.inventory
    hardware.inventory = None
    async with kept(desk):
        await until(lambda: desk.service.vitals.trouble)
        assert "Traceback" in caplog.text
        hardware.inventory = inventory
        await until(lambda: desk.service.vitals.sweep_age is not None)


async def test_a_keeper_that_was_fenced_off_stops(desk: Desk, quick):
    async def fenced(_):
        raise NotOwner("another process has become the owner")

    desk.service.broker.transact = fenced
    async with kept(desk) as task:
        await asyncio.wait([task], timeout=5)
        assert task.done()
        assert isinstance(task.exception(), ExceptionGroup)


async def test_a_change_wakes_the_sweep(desk: Desk, monkeypatch):
    monkeypatch.setattr(keeping, "EVERY", 3600.0)
    async with kept(desk):
        await until(lambda: desk.service.vitals.swept_at is not None)
        before = desk.service.vitals.swept_at
        desk.service.wake.set()
        await until(lambda: desk.service.vitals.swept_at != before)


async def test_use_outside_a_lease_is_told_once_to_whom_it_concerns(desk: Desk, quick, caplog):
    caplog.set_level(logging.WARNING)
    uses = desk.service.usage = Uses()
    mine = (await desk.lease("ada"))["devices"][0]
    theirs = await desk.lease("bob")
    uses.rows = [DeviceUse(device=mine, pid=77, user="bob", lease_id=theirs["id"])]
    async with kept(desk):
        await until(lambda: desk.service.strays)
        looks = uses.looks
        await until(lambda: uses.looks > looks + 3)
    notices = {
        who: (await desk.ask("GET", "me", who=who)).body["notices"] for who in ("ada", "bob")
    }
    assert [row["event"] for row in notices["ada"]] == ["stray"]
    assert "A process that is not yours (77" in notices["ada"][0]["text"]
    assert "Your process 77 works on GPU" in notices["bob"][0]["text"]
    assert caplog.text.count("without a lease of it") == 1
    operators = (await desk.ask("GET", "me", who="admin")).body["notices"]
    assert ["without a lease of it" in row["text"] for row in operators] == [True]
    doctor = (await desk.ask("GET", "doctor", who="admin")).body
    assert "Process 77" in next(row["detail"] for row in doctor if row["invariant"] == "use")
    assert "mlhub_strays 1.0" in (await desk.ask("GET", "/metrics")).body


async def test_a_process_that_only_passes_by_is_no_stray(desk: Desk, quick):
    uses = desk.service.usage = Uses()
    async with kept(desk):
        await until(lambda: uses.looks)
        uses.rows = [DeviceUse(device="GPU-n1-0", pid=1000 + uses.looks, user="bob")]
        looks = uses.looks
        await until(lambda: uses.looks > looks)
        uses.rows = []
        await until(lambda: uses.looks > looks + 2)
    assert desk.service.strays == ()


async def test_gpus_that_cannot_be_asked_leave_what_was_seen(desk: Desk, quick):
    uses = desk.service.usage = Uses()
    uses.rows = [DeviceUse(device="GPU-n1-0", pid=77, user="bob")]
    async with kept(desk):
        await until(lambda: desk.service.strays)
        uses.broken, looks = True, uses.looks
        await until(lambda: uses.looks > looks + 2)
        assert len(desk.service.strays) == 1
