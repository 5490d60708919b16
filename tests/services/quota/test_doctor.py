"""The doctor: from the ledger, and from what the hardware and the processes say."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from hub_services.quota.lately import Lately
from mlhub.broker.ports import DeviceUse, Page
from mlhub.core.errors import InventoryUnavailable
from mlhub.core.strays import find_strays
from tests.services.quota.desk import Desk

ALL = ["I1", "I2", "I3", "I5", "I6", "I4", "I7", "I11", "use"]


class Uses:
    """What runs on the devices, because a test says so; None while nobody can say."""

    def __init__(self, *rows: DeviceUse) -> None:
        self.rows: list[DeviceUse] | None = list(rows)

    async def processes(self) -> list[DeviceUse]:
        if self.rows is None:
            raise InventoryUnavailable("NVML hangs")
        return self.rows

    async def load(self) -> list[Any]:
        return []


class Forgetful:
    """A history that has lost its oldest usage entry."""

    def __init__(self, history: Any) -> None:
        self.ended_leases, self.audit, self._usage = history.ended_leases, history.audit, history

    async def usage(self, user: str | None, page: Page) -> list[Any]:
        return (await self._usage.usage(user, page))[:-1]


async def examined(desk: Desk) -> dict[str, dict[str, Any]]:
    desk.service.vitals.swept()
    answer = await desk.ask("GET", "doctor", who="admin")
    assert answer.status == 200
    return {row["invariant"]: row for row in answer.body}


async def working(desk: Desk, who: str) -> dict[str, Any]:
    """A lease whose server has run for four minutes."""
    world = desk.world
    await world.spawn(who)
    lease = (await world.live())[who]
    await world.tick(timedelta(minutes=1), times=4)
    return {"id": lease.id, "device": lease.placement.devices[0]}


async def test_each_line_says_what_was_looked_at(desk: Desk):
    lease = await working(desk, "ada")
    desk.service.usage = Uses(DeviceUse(lease["device"], 7, "ada", lease_id=lease["id"]))
    rows = await examined(desk)
    assert list(rows) == ALL
    assert [row for row in rows.values() if not row["ok"]] == []
    assert rows["I1"]["looked_at"] == "1 live lease and 4 GPUs; processes on them: 1"
    assert rows["I3"]["looked_at"] == "1 live lease; the processes of 1 lease: 1 run"
    assert rows["I4"]["looked_at"].endswith("1 lease that they cover")
    assert rows["I11"]["looked_at"] == "the last one that did, 0 s ago"


async def test_two_leases_on_one_gpu_are_seen_on_the_hardware(desk: Desk):
    lease = await working(desk, "ada")
    names = (lease["id"], "one-that-is-over")
    desk.service.usage = Uses(
        *(DeviceUse(lease["device"], 7, "ada", lease_id=name) for name in names)
    )
    row = (await examined(desk))["I1"]
    assert (row["ok"], "processes of 2 leases" in row["detail"]) == (False, True)


async def test_a_driver_that_hangs_is_said_and_nothing_is_made_up(desk: Desk):
    desk.service.usage = uses = Uses()
    uses.rows = None
    rows = await examined(desk)
    assert rows["I1"]["looked_at"].endswith("what runs on them could not be seen")
    assert rows["use"]["looked_at"] == "no look at the processes on GPUs was possible"
    assert rows["use"]["ok"]


async def test_use_that_has_ended_since_is_not_held_against_anybody(desk: Desk):
    stray = DeviceUse("GPU-n1-0", 77, "bob")
    desk.service.usage = uses = Uses(stray)
    desk.service.strays = tuple(find_strays([stray], []))
    assert not (await examined(desk))["use"]["ok"]
    uses.rows = []
    assert (await examined(desk))["use"]["ok"]


async def test_an_entry_that_is_gone_breaks_an_invariant(desk: Desk):
    lease = await working(desk, "ada")
    desk.service.history = Forgetful(desk.service.history)
    row = (await examined(desk))["I4"]
    assert not row["ok"]
    assert row["detail"].startswith(f"lease {lease['id']} was billed for")


async def test_the_operators_page_examines_once_for_all_who_look_and_the_api_each_time(desk: Desk):
    looks = []

    class Counted(Uses):
        async def processes(self) -> list[DeviceUse]:
            looks.append(1)
            return await super().processes()

    desk.service.usage = Counted()
    pages = await asyncio.gather(*(desk.ask("GET", "/admin", who="admin") for _ in range(5)))
    assert {page.status for page in pages} == {200}
    assert len(looks) == 1
    await examined(desk)
    await examined(desk)
    assert len(looks) == 3


async def test_what_was_found_lately_is_looked_at_again_when_it_is_old():
    lately, looks = Lately[int](keep=0.0), iter(range(9))

    async def look() -> int:
        return next(looks)

    assert [await lately.get(look) for _ in range(3)] == [0, 1, 2]
    lately.keep = 3600.0
    assert [await lately.get(look) for _ in range(3)] == [2, 2, 2]
