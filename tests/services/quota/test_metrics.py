"""/healthz, /readyz and /metrics."""

import asyncio
import os
from datetime import timedelta
from pathlib import Path
from socket import AF_INET, AF_INET6, AddressFamily, socket

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hub_services.quota.peers import uid_of_peer
from tests.parts import missing
from tests.services.quota.desk import Desk

NOBODY = 65534


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


SCRAPE = """
import sys, urllib.error, urllib.request
for url in sys.argv[1:]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            print(answer.status, answer.read().decode())
    except urllib.error.HTTPError as error:
        print(error.code, error.read().decode())
"""


async def scraped(desk: Desk, path: str, *, uid: int) -> str:
    """What a program of some OS user of this machine is told that has no token."""
    program = await asyncio.create_subprocess_exec(
        "/usr/bin/python3", "-c", SCRAPE, f"{desk.url}{path}",
        user=uid, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await asyncio.wait_for(program.communicate(), 30)
    return out.decode()


@pytest.mark.root
async def test_without_a_token_another_os_user_of_the_machine_gets_no_numbers_and_no_reasons(
    desk: Desk,
):
    assert (await scraped(desk, "metrics", uid=NOBODY)).startswith("401 ")
    assert await scraped(desk, "readyz", uid=NOBODY) == '503 {"status": "not ready"}\n'
    assert "mlhub_devices" in await scraped(desk, "metrics", uid=0)
    assert "no sweep went through lately" in await scraped(desk, "readyz", uid=0)


@pytest.mark.parametrize(("family", "address"), [(AF_INET, "127.0.0.1"), (AF_INET6, "::1")])
def test_the_kernel_tells_who_is_at_the_other_end(family: AddressFamily, address: str):
    if family is AF_INET6 and not Path("/proc/self/net/tcp6").exists():
        missing("this test needs IPv6, which this kernel does not have")
    with socket(family) as listener, socket(family) as client:
        listener.bind((address, 0))
        listener.listen()
        client.connect(listener.getsockname())
        connection, _ = listener.accept()
        with connection:
            assert uid_of_peer(connection) == os.geteuid()
            client.close()
            assert uid_of_peer(connection) is None


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
