"""The client over real HTTP: lost, slow, broken and refusing answers, and what it makes of them."""

from __future__ import annotations

import logging
import socket
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web

from mlhub.client import (
    AskedTooOften,
    BrokerClient,
    NoToken,
    Patience,
    Refused,
    ServiceUnavailable,
    Wish,
)
from mlhub.core.decisions import Forecast
from tests.client.faulty_service import (
    LEASE,
    Fault,
    FaultyService,
    cut_in_the_middle,
    faulty_service,
    lost_answer,
    mutilated,
    never_answers,
    never_heard,
    page,
    status,
)

TOKEN = "0123456789abcdef0123456789abcdef"
SHORT = Patience(deadline_s=3.0, try_s=0.3)
KEY = "a-key-of-the-test"


def client_of(service: FaultyService, patience: Patience = SHORT) -> BrokerClient:
    return BrokerClient(service.url, token=TOKEN, patience=patience)


FAULTS = {
    "the answer is lost": lost_answer,
    "the request is lost": never_heard,
    "half an answer comes": cut_in_the_middle,
    "the answer is no JSON": mutilated,
    "no answer comes": never_answers,
    "the ledger is away": status(503),
    "the service fails": status(500),
    "too many ask": status(429),
    "the proxy has no target": page(503),
    "the proxy lost the route": page(404),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_a_claim_is_asked_again_with_the_same_key_and_made_once(name: str) -> None:
    fault: Fault = FAULTS[name]
    async with faulty_service(fault, fault) as service, client_of(service) as client:
        answer = await client.claim(Wish("a100", user="ada", groups=("staff",)), key=KEY)
    assert answer.state == "granted"
    assert answer.claim == "claim-1"
    assert len(service.asked) == 3
    assert {headers["Idempotency-Key"] for headers in service.headers} == {KEY}
    assert list(service.claims) == [KEY]
    assert service.bodies[0] == service.bodies[2]


async def test_what_is_asked_goes_over_the_wire_as_the_contract_has_it() -> None:
    async with faulty_service() as service, client_of(service) as client:
        wish = Wish(
            "a100", count=2, server="train", duration=timedelta(hours=2), wait=True, user="ada",
            groups=("staff",), user_options={"profile": "torch"},
        )  # fmt: skip
        await client.claim(wish, key=KEY)
        await client.claim(Wish("a100", duration="8h"), key="another-key")
    assert service.asked[0] == ("POST", "/services/quota/api/v1/claims")
    assert service.bodies[0] == {
        "flavor": "a100", "count": 2, "server": "train", "kind": "server", "duration": 7200.0,
        "wait": True, "user": "ada", "groups": ["staff"], "user_options": {"profile": "torch"},
    }  # fmt: skip
    assert "user" not in service.bodies[1]
    assert service.bodies[1]["duration"] == "8h"


async def test_a_granted_claim_brings_its_lease_with_aware_times() -> None:
    async with faulty_service() as service, client_of(service) as client:
        answer = await client.claim(Wish("a100"), key=KEY)
    assert answer.lease is not None
    assert answer.lease.devices == ("GPU-1",)
    assert answer.lease.ends_at == datetime(2026, 11, 21, 17, tzinfo=UTC)
    assert answer.lease.simulated


@pytest.mark.parametrize("code", [403, 404, 409, 422, 503])
async def test_a_refusal_is_raised_at_once_with_all_that_it_says(code: int) -> None:
    problem = {
        "type": "about:blank", "title": "Refused", "status": code, "state": "denied",
        "detail": "Your limit is 2 GPUs; you hold 2.", "reason": "device-limit", "limit": 2,
        "used": 2, "unit": "GPUs", "retry_at": "2026-11-21T17:00:00+00:00", "instance": None,
        "claim": "claim-9", "remedy": "stop a server",
    }  # fmt: skip
    async with faulty_service() as service, client_of(service) as client:
        service.answers["POST", "/leases/lease-1/renew"] = (code, problem)
        with pytest.raises(Refused) as caught:
            await client.renew("lease-1", "2h")
    found = caught.value.problem
    assert str(caught.value) == "Your limit is 2 GPUs; you hold 2. (stop a server)"
    assert (found.status, found.reason, found.limit, found.used) == (code, "device-limit", 2, 2)
    assert found.retry_at == datetime(2026, 11, 21, 17, tzinfo=UTC)
    assert found.claim == "claim-9"
    assert len(service.asked) == 1


async def test_the_end_of_patience_names_the_address_and_the_last_trouble() -> None:
    async with faulty_service(*[status(503)] * 50) as service:
        client = client_of(service, Patience(deadline_s=0.6, try_s=0.3))
        begun = time.monotonic()
        with pytest.raises(ServiceUnavailable, match=r"answered 503: The ledger is away") as caught:
            await client.inventory()
        await client.close()
    assert time.monotonic() - begun < 2
    assert caught.value.tries == len(service.asked) > 1
    assert caught.value.url == service.url


async def test_a_service_that_is_not_there_is_told_from_one_that_refuses() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}/services/quota"
        async with BrokerClient(url, token=TOKEN, patience=Patience(0.5, 0.2)) as client:
            with pytest.raises(ServiceUnavailable, match="no connection"):
                await client.me()


async def test_the_service_is_left_alone_for_as_long_as_it_asks() -> None:
    fault = status(503, **{"Retry-After": "1"})
    async with faulty_service(fault) as service, client_of(service) as client:
        service.answers["GET", "/me"] = (200, {"user": "ada"})
        begun = time.monotonic()
        await client.me()
    assert time.monotonic() - begun >= 1


async def test_a_wait_beyond_the_deadline_is_not_waited_for() -> None:
    fault = status(503, **{"Retry-After": "60"})
    async with faulty_service(fault) as service, client_of(service) as client:
        begun = time.monotonic()
        with pytest.raises(ServiceUnavailable):
            await client.me()
    assert time.monotonic() - begun < 1


async def test_who_asks_too_often_hears_that_and_not_that_nobody_answers() -> None:
    fault = status(429, **{"Retry-After": "60"})
    async with faulty_service(fault) as service, client_of(service) as client:
        with pytest.raises(AskedTooOften) as caught:
            await client.me()
    assert (str(caught.value), caught.value.wait_s) == ("The ledger is away", 60)


async def test_a_redirect_is_not_followed_with_the_token() -> None:
    async with faulty_service() as elsewhere:
        fault = page(302, Location=f"{elsewhere.url}/api/v1/me")
        async with (
            faulty_service(*[fault] * 50) as service,
            client_of(service, Patience(0.4, 0.3)) as client,
        ):
            with pytest.raises(ServiceUnavailable, match="something else answers"):
                await client.me()
    assert elsewhere.asked == []


async def test_an_answer_of_another_shape_is_no_answer() -> None:
    async with faulty_service() as service, client_of(service) as client:
        service.answers["GET", "/inventory"] = (200, {"flavors": "many"})
        with pytest.raises(ServiceUnavailable, match="not understood"):
            await client.inventory()


async def test_the_state_of_a_denied_claim_is_an_answer_and_no_error() -> None:
    problem = {"state": "denied", "status": 403, "reason": "device-limit", "detail": "Too many."}
    async with faulty_service() as service, client_of(service) as client:
        service.answers["GET", "/claims/claim-1"] = (403, problem)
        answer = await client.claim_state("claim-1")
        service.answers["GET", "/claims/claim-2"] = (404, {"detail": "no such claim"})
        with pytest.raises(Refused, match="no such claim"):
            await client.claim_state("claim-2")
    assert (answer.state, answer.reason, answer.message) == ("denied", "device-limit", "Too many.")


async def test_the_state_of_a_waiting_claim_has_its_place_and_forecast() -> None:
    soon, later = "2026-11-21T09:10:00+00:00", "2026-11-21T09:40:00+00:00"
    content = {
        "state": "queued", "claim": "claim-1", "position": 2, "reason": "behind-others",
        "expected": {"soonest": soon, "expected": soon, "latest": later}, "expected_at": soon,
        "message": "You are 2nd.",
    }  # fmt: skip
    async with faulty_service() as service, client_of(service) as client:
        service.answers["GET", "/claims/claim-1"] = (200, content)
        answer = await client.claim_state("claim-1")
    at = datetime(2026, 11, 21, 9, 10, tzinfo=UTC)
    assert answer.position == 2
    assert answer.expected == Forecast(at, at, at + timedelta(minutes=30))


async def test_every_other_call_asks_as_the_contract_has_it() -> None:
    ends, when = dict(LEASE, status="ended"), "2026-11-21T09:00:00+00:00"
    waiting = {"id": "c", "user": None, "mine": True, "flavor": "a100", "count": 1, "priority": 0,
               "position": 1, "submitted_at": when, "expected": None, "blocked": ""}  # fmt: skip
    flavor = {"name": "a100", "display_name": "A100", "total": 4, "free": 1, "held": 3, "kept": 0,
              "out_of_service": 0, "waiting": 0, "max_count": 4, "now": True, "expected": None,
              "allowed": True, "why_not": "", "price": "1.20", "memory_mib": 81920}  # fmt: skip
    device = {"uuid": "GPU-1", "index": 0, "model": "A100", "memory_mib": 81920, "state": "held",
              "holder": {"user": "ada", "server": "", "since": when}}  # fmt: skip
    inventory = {
        "now": when,
        "taken_at": when,
        "simulated": True,
        "problem": "",
        "flavors": [flavor],
        "nodes": [{"name": "n", "schedulable": True, "trouble": "", "devices": [device]}],
    }
    me = {"user": "ada", "groups": ["staff"], "operator": False,
          "limits": {"devices": 2, "memory_mib": None, "servers": None, "flavors": ["a100"],
                     "duration_s": 86400},
          "use": {"devices": 1, "memory_mib": 81920, "servers": 1},
          "claims": [waiting], "leases": [LEASE], "ended": []}  # fmt: skip
    async with faulty_service() as service, client_of(service) as client:
        service.answers = {
            ("GET", "/leases"): (200, {"items": [LEASE], "next": 7}),
            ("GET", "/leases/a%2Fb"): (200, LEASE),
            ("DELETE", "/leases/lease-1"): (200, ends),
            ("POST", "/leases/lease-1/renew"): (200, LEASE),
            ("POST", "/leases/lease-1/holder"): (200, LEASE),
            ("POST", "/leases/lease-1/used"): (200, LEASE),
            ("DELETE", "/claims/claim-1"): (204, None),
            ("GET", "/inventory"): (200, inventory),
            ("GET", "/queue"): (200, {"items": [waiting], "next": None}),
            ("GET", "/me"): (200, me),
            ("POST", "/tickets"): (200, {"ticket": "secret-words", "expires_at": when}),
            ("GET", "/doctor"): (200, [{"invariant": "I1", "ok": True, "detail": ""}]),
        }
        leases = await client.leases(state="ended", user="ada", limit=5, before=9)
        released = await client.release("lease-1", why="maintenance")
        await client.renew("lease-1", timedelta(hours=1))
        await client.holder("lease-1", 42)
        await client.used("lease-1")
        await client.cancel("claim-1")
        stock = await client.inventory()
        queue = await client.queue()
        mine = await client.me()
        ticket = await client.ticket("ada", ("staff",))
        findings = await client.doctor()
    assert (leases.next, leases.items[0].user) == (7, "ada")
    assert service.asked[0][1].endswith("/leases?state=ended&limit=5&user=ada&before=9")
    assert (released.status, service.bodies[1]) == ("ended", {"why": "maintenance"})
    assert service.bodies[2:5] == [{"duration": 3600.0}, {"pid": 42}, {}]
    assert stock.flavors[0].free == 1
    assert stock.nodes[0].devices[0].holder is not None
    assert queue[0].mine
    assert mine.limits.flavors == ("a100",)
    assert mine.leases[0].id == "lease-1"
    assert ticket.ticket == "secret-words"
    assert "secret-words" not in repr(ticket)
    assert findings[0].ok


async def test_readiness_is_asked_beside_the_api_and_an_unready_service_is_an_answer() -> None:
    async def unready(service: FaultyService, request: web.Request) -> web.StreamResponse:
        text = {"status": "not ready", "reasons": ["this process does not own the ledger"]}
        return web.json_response(text, status=503)

    async def ready(service: FaultyService, request: web.Request) -> web.StreamResponse:
        return web.json_response({"status": "ready", "reasons": []})

    async def discreet(service: FaultyService, request: web.Request) -> web.StreamResponse:
        return web.json_response({"status": "not ready"}, status=503)

    async with faulty_service(unready, ready, discreet) as service, client_of(service) as client:
        assert await client.ready() == ("this process does not own the ledger",)
        assert await client.ready() == ()
        assert await client.ready() == ("it says: not ready",)
    assert service.asked == [("GET", "/services/quota/readyz")] * 3


async def test_a_long_queue_is_read_to_its_end() -> None:
    def place(position: int) -> dict[str, object]:
        return {"id": f"c{position}", "flavor": "a100", "count": 1, "position": position,
                "submitted_at": "2026-11-21T09:00:00+00:00"}  # fmt: skip

    pages = {"": ([place(1), place(2)], 2), "2": ([place(3)], None)}

    async def queue(service: FaultyService, request: web.Request) -> web.StreamResponse:
        items, following = pages[request.query.get("after", "")]
        return web.json_response({"items": items, "next": following})

    async with faulty_service(queue, queue) as service, client_of(service) as client:
        found = await client.queue()
    assert [row.position for row in found] == [1, 2, 3]


async def test_an_id_never_leaves_its_place_in_the_path() -> None:
    async with faulty_service() as service, client_of(service) as client:
        with pytest.raises(Refused):
            await client.lease("../claims?x=1")
    assert service.asked[0][1].endswith("/leases/..%2Fclaims%3Fx=1")


async def test_the_token_is_read_from_its_file_at_each_request(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first-token\n")
    async with faulty_service() as service:
        service.answers["GET", "/me"] = (200, {"user": "ada"})
        async with BrokerClient(service.url, token_file=file, patience=SHORT) as client:
            await client.me()
            file.write_text("second-token\n")
            await client.me()
    sent = [headers["Authorization"] for headers in service.headers]
    assert sent == ["Bearer first-token", "Bearer second-token"]


@pytest.mark.parametrize("content", [None, b"", b"two words", b"line\nline", b"\xff\xfe"])
async def test_a_file_without_a_token_is_said_before_anything_is_asked(
    tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    async with (
        faulty_service() as service,
        BrokerClient(service.url, token_file=file, patience=SHORT) as client,
    ):
        with pytest.raises(NoToken, match="token"):
            await client.me()
    assert service.asked == []


async def test_the_token_is_in_no_log_and_in_no_error(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with (
        faulty_service(*[lost_answer, status(500)] * 20) as service,
        client_of(service, Patience(0.5, 0.2)) as client,
    ):
        with pytest.raises(ServiceUnavailable) as caught:
            await client.claim(Wish("a100"), key=KEY)
        assert TOKEN not in repr(client)
    assert "again in" in caplog.text
    assert TOKEN not in caplog.text
    assert TOKEN not in str(caught.value)
