"""Forms of the pages: under the same rules as a change by the API."""

from __future__ import annotations

import asyncio

import pytest

from hub_services.quota.pace import Pace
from tests.services.quota.desk import Desk, until


async def lines(desk: Desk) -> list[tuple[str, str, str]]:
    return [(row["actor"], row["action"], row["subject"]) for row in await desk.audit()]


@pytest.mark.parametrize("form", ["leave", "switch"])
async def test_a_form_for_the_claim_of_somebody_else_is_one_line_of_audit(desk: Desk, form: str):
    await desk.lease("bob", count=4)
    claim = (await desk.claim("ada", wait=True)).body["claim"]
    before = await lines(desk)
    for _ in range(3):
        answer = await desk.ask("POST", f"/claims/{claim}/{form}", who="bob", data={"stop": "yes"})
        assert (answer.status, "no such claim" in answer.body) == (404, True)
    assert await lines(desk) == [("bob", "refused", f"POST form {form}"), *before]
    assert (await desk.world.ledger()).claims[claim].waiting


@pytest.mark.parametrize(("form", "status"), [("release", 404), ("extend", 422)])
async def test_a_form_that_makes_no_sense_is_one_line_of_audit(desk: Desk, form: str, status: int):
    answer = await desk.ask("POST", f"/leases/none/{form}", who="ada", data={"duration": "long"})
    assert answer.status == status
    assert await lines(desk) == [("ada", "refused", f"POST form {form}")]


async def test_a_form_of_another_site_is_one_line_of_audit_and_changes_nothing(desk: Desk):
    lease = await desk.lease("ada")
    before = await lines(desk)
    headers = {"Sec-Fetch-Site": "cross-site"}
    path = f"/leases/{lease['id']}/release"
    answer = await desk.ask("POST", path, who="ada", headers=headers, data={})
    assert answer.status == 403
    assert await lines(desk) == [("ada", "refused", "POST form release"), *before]
    assert (await desk.world.ledger()).leases[lease["id"]].target == "active"


async def test_somebody_without_access_who_sends_a_form_is_one_line_of_audit(desk: Desk):
    answer = await desk.ask("POST", "/claims/none/leave", who="ada without access", data={})
    assert answer.status == 403
    assert await lines(desk) == [("ada", "refused", "POST form leave")]


async def test_who_sends_forms_too_often_is_told_when_to_go_on(desk: Desk):
    desk.service.pace = Pace(2, 0.1, desk.world.clock.monotonic)
    found = [await desk.ask("POST", "/claims/none/leave", who="ada", data={}) for _ in range(3)]
    assert [answer.status for answer in found] == [404, 404, 429]
    assert found[-1].headers["Retry-After"] == "10"
    assert (await desk.ask("GET", "/", who="ada")).status == 200
    assert (await desk.ask("POST", "/claims/none/leave", who="bob", data={})).status == 404


async def test_the_service_does_not_end_between_a_stop_and_the_start(desk: Desk):
    lease = await desk.lease("ada")
    goes_on, release = asyncio.Event(), desk.world.broker.release

    async def slow(*given: object, **more: object) -> object:
        await goes_on.wait()
        return await release(*given, **more)

    desk.world.broker.release = slow
    path = f"/leases/{lease['id']}/release"
    sent = asyncio.create_task(desk.ask("POST", path, who="ada", data={}))
    await until(lambda: not desk.service.idle.is_set())
    goes_on.set()
    assert (await sent).status == 303
    assert desk.service.idle.is_set()
