"""/healthz, /readyz and /metrics."""

from datetime import timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.services.quota.desk import Desk


async def samples(desk: Desk, **headers: str) -> dict[tuple, float]:
    answer = await desk.ask("GET", "/metrics", headers=headers)
    assert answer.status == 200, answer.body
    return {
        (row.name, *sorted(row.labels.values())): row.value
        for family in text_string_to_metric_families(answer.body)
        for row in family.samples
    }


async def test_metrics_say_what_is_held_kept_and_waited_for(desk: Desk):
    await desk.lease("ada", count=3, duration="1h")
    await desk.claim("bob", count=4, wait=True)
    await desk.claim("bob", server="other")
    found = await samples(desk)
    states = {state: found["mlhub_devices", "a100", state] for state in ("free", "held", "kept")}
    assert states == {"free": 0, "held": 3, "kept": 1}
    assert found["mlhub_queue_length", "a100"] == 1
    assert found["mlhub_leases", "held"] == 1
    assert found["mlhub_claims_total", "granted", "granted"] == 1
    assert found["mlhub_claims_total", "no-capacity", "queued"] == 1
    assert found["mlhub_claims_total", "denied", "no-capacity"] == 1
    assert found[("mlhub_decision_seconds_count",)] == 3
    assert found["mlhub_http_requests_total", "/claims", "201", "POST"] == 1


async def test_metrics_name_nobody(desk: Desk):
    await desk.lease("ada")
    await desk.ask("GET", "leases/ada-private-name", who="ada")
    text = (await desk.ask("GET", "/metrics")).body
    assert "ada" not in text


@pytest.mark.parametrize(
    ("who", "status"),
    [
        ("nobody", 401),
        ("ada", 403),
        ("the spawner", 403),
        ("the scraper", 200),
        ("the stranger", 403),
    ],
)
async def test_metrics_through_a_proxy_need_the_scope(desk: Desk, who: str, status: int):
    headers = {"X-Forwarded-For": "127.0.0.1"}
    answer = await desk.ask("GET", "/metrics", who=who, headers=headers)
    assert answer.status == status


async def test_a_service_that_sweeps_is_ready(desk: Desk):
    await desk.ask("GET", "inventory", who="ada")
    desk.service.vitals.swept()
    answer = await desk.ask("GET", "/readyz")
    assert (answer.status, answer.body) == (200, {"status": "ready", "reasons": []})


async def test_a_service_that_does_not_sweep_is_not_ready(desk: Desk):
    answer = await desk.ask("GET", "/readyz")
    assert answer.status == 503
    assert "no sweep went through lately" in answer.body["reasons"]
    assert (await desk.ask("GET", "/healthz")).status == 200


@pytest.mark.parametrize(
    "who", ["nobody", "ada", "invalid", "the scraper", "the operator", "admin"]
)  # fmt: skip
async def test_why_a_service_is_not_ready_is_for_operators(desk: Desk, who: str):
    headers = {"X-Forwarded-For": "127.0.0.1"}
    answer = await desk.ask("GET", "/readyz", who=who, headers=headers)
    assert (answer.status, answer.body["status"]) == (503, "not ready")
    told = who in ("the operator", "admin")
    assert ("no sweep went through lately" in str(answer.body)) == told
    assert told or set(answer.body) == {"status"}


async def test_a_service_whose_gpus_are_silent_is_not_ready(desk: Desk):
    await desk.ask("GET", "inventory", who="ada")
    desk.service.vitals.swept()
    desk.world.stock.broken = "NVML hangs"
    desk.world.clock.advance(timedelta(minutes=2))
    await desk.ask("GET", "inventory", who="ada")
    answer = await desk.ask("GET", "/readyz")
    assert answer.body["reasons"] == ["the GPUs have not answered lately"]
