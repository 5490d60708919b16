"""What pages load: no more than what is shown, also on a large site."""

from __future__ import annotations

import re

import pytest

from hub_services.quota.hub_word import HubWord
from hub_services.quota.pages import admin, switching
from mlhub.adapters.rehearsal import Server
from tests.core.making import a100s, inventory
from tests.services.quota.desk import Desk

MACHINES = 60


def machines(page: str) -> list[str]:
    return re.findall(r'<section class="panel node" id="node-([^"]*)"', page)


async def test_many_machines_come_in_parts_that_miss_none(desk: Desk):
    names = [f"n{number:02}" for number in range(MACHINES)]
    desk.world.stock.content = inventory(*(row for name in names for row in a100s(2, name)))
    page = (await desk.ask("GET", "/who", who="admin")).body
    assert "120 GPUs on 60 machines: 0 in use, 120 free" in " ".join(page.split())
    first = machines(page)
    assert len(first) == 50
    (link,) = re.findall(r'href="\?([^"]*)">More machines', page)
    page = (await desk.ask("GET", f"/who?{link.replace('&amp;', '&')}", who="admin")).body
    assert sorted(first + machines(page)) == names
    assert "Earlier machines" in page
    assert "More machines<" not in page


async def test_a_filter_leaves_the_machines_that_have_such_a_gpu(desk: Desk):
    desk.world.stock.content = inventory(*a100s(1, "n1"), *a100s(1, "n2"))
    lease = await desk.lease("ada")
    page = (await desk.ask("GET", "/who?state=held", who="admin")).body
    assert machines(page) == [lease["node"]]
    assert 'class="holder">ada' in page
    assert "No GPU is like that." in (await desk.ask("GET", "/who?flavor=t4", who="admin")).body


@pytest.mark.parametrize("path", ["/", "/who"])
async def test_what_an_open_page_loads_again_is_without_script_and_style(desk: Desk, path: str):
    whole = (await desk.ask("GET", path, who="ada")).body
    part = (await desk.ask("GET", path, who="ada", headers={"X-Mlhub-Part": "live"})).body
    assert "mlhubRenewing" in whole
    assert ".gpus" in whole
    assert "mlhubRenewing" not in part
    assert ".gpus" not in part
    live = re.compile(r'<div id="live">')
    assert live.search(part)
    assert len(part) < len(whole) / 2


async def test_one_sees_the_use_of_their_own_gpus(desk: Desk):
    await desk.lease("ada")
    page = (await desk.ask("GET", "/", who="ada")).body
    assert "GPU 0</span>" in page


async def test_a_look_at_the_waiting_page_reads_the_environments_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
):
    read, times = switching.read_profiles, []

    def counted(*given: object) -> object:
        times.append(given)
        return read(*given)

    monkeypatch.setattr(switching, "read_profiles", counted)
    await desk.lease("bob", count=4)
    claim = (await desk.claim("ada", wait=True)).body["claim"]
    await desk.ask("GET", f"/waiting/{claim}", who="ada")
    assert len(times) == 1


async def test_an_open_page_that_asks_about_a_server_does_not_ask_the_hub_at_each_look(desk: Desk):
    asked, state = [], desk.world.hub.state

    async def counted(user: str, server: str) -> object:
        asked.append(user)
        return await state(user, server)

    desk.world.hub.state = counted
    desk.service.hub_word = HubWord(lambda: 0.0)
    await desk.lease("bob", count=4)
    claim = (await desk.claim("ada", wait=True)).body["claim"]
    desk.world.hub.servers["ada", ""] = Server(7, 0.0)
    page = f"/waiting/{claim}?instead=none"
    first = await desk.ask("GET", page, who="ada")
    assert "already runs" in first.body
    for _ in range(3):
        again = await desk.ask("GET", page, who="ada", headers={"X-Mlhub-Part": "live"})
        assert "already runs" in again.body
    assert asked == ["ada"]


async def test_the_operators_page_counts_all_and_leads_to_the_rest(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(admin, "ROWS", 1)
    held = [(await desk.lease("ada", server=f"s{number}"))["id"] for number in range(2)]
    held.append((await desk.lease("bob", count=2))["id"])
    waiting = [
        (await desk.claim(who, server="w", wait=True)).body["claim"] for who in ("ada", "bob")
    ]
    shown, path = set(), "/admin"
    for _ in held:
        page = (await desk.ask("GET", path, who="admin")).body
        assert '<h2>In use</h2><span class="server">3 servers' in page
        assert '<h2>Waiting</h2><span class="server">2 servers' in page
        shown |= set(re.findall(r'<tr id="row-([^"]*)"', page))
        path = f"/admin?{(re.findall(r'(leases=[0-9]+)', page) or [''])[0]}"
    assert set(held) <= shown
    (more,) = re.findall(r'href="\?(queue=[0-9]+)"', page)
    page = (await desk.ask("GET", f"/admin?{more}", who="admin")).body
    assert f'<tr id="row-{waiting[1]}"' in page
