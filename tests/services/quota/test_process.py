"""The service as a process: owning the ledger, dying, coming back, and ending."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import httpx
import pytest

from mlhub.adapters.sql.schema import VERSION_TABLE
from mlhub.adapters.sql.tables import owner
from tests.services.quota.hub import Hub
from tests.services.quota.running import Quota, quota_service
from tests.singleuser.hub import free_ports, wait_for

pytestmark = pytest.mark.stack


@pytest.fixture
def quota(hub: Hub, tmp_path: Path) -> Iterator[Quota]:
    with quota_service(hub, tmp_path) as quota:
        yield quota


def a100(quota: Quota, token: str) -> dict[str, int]:
    return quota.ask("GET", "inventory", token).json()["flavors"][0]


def live(quota: Quota, hub: Hub) -> dict[str, dict]:
    rows = quota.ask("GET", "leases?limit=500", hub.tokens["operator"]).json()["items"]
    return {row["id"]: row for row in rows}


def test_a_claim_goes_through_the_proxy_and_comes_back(quota: Quota, hub: Hub, tokens):
    headers = {"Authorization": f"token {tokens['ada']}", "Idempotency-Key": "through-the-proxy"}
    answer = httpx.post(f"{hub.quota}api/v1/claims", headers=headers, json={"flavor": "a100"})
    assert answer.status_code == 201, answer.text
    lease = answer.json()["lease"]
    assert lease["simulated"] is True
    gone = httpx.delete(f"{hub.quota}api/v1/leases/{lease['id']}", headers=headers)
    assert gone.status_code == 200
    wait_for("the GPU to be free", lambda: a100(quota, tokens["ada"])["free"] == 4, seconds=10)


def test_metrics_are_closed_through_the_proxy_and_open_past_it(quota: Quota, hub: Hub):
    assert httpx.get(f"{hub.quota}metrics").status_code == 401
    assert "mlhub_devices" in httpx.get(f"{quota.url}metrics").text


def test_a_process_that_runs_holds_its_lease_until_it_ends(quota: Quota, hub: Hub, tokens):
    lease = quota.claim(tokens["ada"], "holding-key").json()["lease"]
    spawner = hub.tokens["spawner"]
    command, environment = [sys.executable, "-c", "input()"], {"MLHUB_LEASE_ID": lease["id"]}
    path = f"leases/{lease['id']}"
    lie = quota.ask("POST", f"{path}/holder", spawner, json={"pid": os.getpid()})
    assert (lie.status_code, lie.json()["field"]) == (422, "pid")
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=environment) as process:
        held = quota.ask("POST", f"{path}/holder", spawner, json={"pid": process.pid})
        assert held.json()["status"] == "active"
        early = quota.ask("DELETE", path, spawner)
        assert early.json()["status"] == "ending"
        process.kill()
        process.wait()
        over = quota.ask("DELETE", path, spawner)
    assert (over.json()["status"], over.json()["reason"]) == ("ended", "stopped")
    assert a100(quota, tokens["ada"])["free"] == 4


def test_nothing_that_was_promised_is_lost_when_the_service_is_killed(quota: Quota, hub, tokens):
    """Clients claim and give back without a pause, while the service is killed again and again."""
    turns: list[str] = []
    with ThreadPoolExecutor(4) as pool:
        names = ("ada", "bob", "ada", "bob")
        clients = [
            pool.submit(a_client, quota, hub.tokens["spawner"], tokens[who], turns, number)
            for number, who in enumerate(names)
        ]
        for kill in range(1, 4):
            wait_for("some turns", partial(has_come_to, turns, 8 * kill), seconds=120)
            quota.end(signal.SIGKILL)
            quota.start()
        kept = {lease["id"]: lease["devices"] for client in clients for lease in client.result(240)}
    assert {key: row["devices"] for key, row in live(quota, hub).items()} == kept
    assert len(kept) == 4
    findings = quota.ask("GET", "doctor", hub.tokens["operator"]).json()
    assert [row for row in findings if not row["ok"]] == []


def has_come_to(turns: list[str], number: int) -> bool:
    return len(turns) >= number


def a_client(quota: Quota, spawner: str, token: str, turns: list[str], number: int) -> list[dict]:
    """Ten turns of a claim, asked twice with its key, and given back; one more that is kept."""
    for turn in range(10):
        lease = granted_twice(quota, token, f"turn-{number}-{turn:04d}")
        over = insist(partial(quota.ask, "DELETE", f"leases/{lease['id']}", spawner))
        assert over.json()["status"] == "ended", over.text
        turns.append(lease["id"])
    return [granted_twice(quota, token, f"turn-{number}-last")]


def granted_twice(quota: Quota, token: str, key: str) -> dict:
    claim = partial(quota.claim, token, key, server=key)
    first, again = insist(claim).json(), insist(claim).json()
    assert first["state"] == again["state"] == "granted", (first, again)
    assert first["lease"]["id"] == again["lease"]["id"]
    return first["lease"]


def insist(ask) -> httpx.Response:
    """Ask until there is an answer that is no outage."""

    def answer() -> httpx.Response | None:
        try:
            found = ask()
        except httpx.TransportError:
            return None
        outage = found.status_code >= 500 and "state" not in found.json()
        return None if outage else found

    return wait_for("answer", answer, seconds=120)


def test_a_lease_outlives_a_kill_of_the_service(quota: Quota, hub: Hub, tokens):
    before = quota.claim(tokens["ada"], "outliving-key").json()["lease"]
    quota.end(signal.SIGKILL)
    quota.start()
    quota.wait_ready()
    assert list(live(quota, hub)) == [before["id"]]
    again = quota.claim(tokens["ada"], "outliving-key").json()["lease"]
    assert again["devices"] == before["devices"]


def test_a_second_service_waits_for_the_ledger_and_takes_it_over(quota: Quota, hub: Hub, tokens):
    lease = quota.claim(tokens["ada"], "two-services").json()["lease"]
    second = Quota(hub, quota.home, free_ports(1)[0])
    second.start()
    try:
        wait_for("line", lambda: "waiting for the ledger" in second.said(), seconds=30)
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{second.url}healthz")
        assert quota.claim(tokens["bob"], "still-the-first").status_code == 201
        quota.end(signal.SIGKILL)
        second.wait_ready()
        assert lease["id"] in live(second, hub)
    finally:
        second.end(signal.SIGKILL)


def test_a_service_that_was_fenced_off_ends_at_once(quota: Quota, tokens):
    with sqlite3.connect(quota.home / "ledger.sqlite", timeout=20) as ledger:
        ledger.execute(f"update {owner.name} set epoch = epoch + 1")
    ledger.close()
    answer = quota.claim(tokens["ada"], "too-late-key")
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:mlhub:problem:not-owner")
    assert quota.process is not None
    assert quota.process.wait(10) == 75
    assert "another process owns the ledger now" in quota.said()


def test_a_service_that_is_asked_to_end_does_so_soon(quota: Quota, hub: Hub, tokens):
    url = f"{quota.url}api/v1/events"
    headers = {"Authorization": f"token {tokens['ada']}"}
    with httpx.stream("GET", url, headers=headers) as answer:
        lines = answer.iter_lines()
        assert next(lines) == "retry: 3000"
        assert quota.end(signal.SIGTERM) == 0
    assert "stopping" in quota.said()
    quota.start()
    quota.wait_ready()


def test_no_credential_is_ever_logged(quota: Quota, hub: Hub, tokens):
    made = quota.ask("POST", "tickets", hub.tokens["spawner"], json={"user": "ada"}).json()
    headers = {"Authorization": f"Ticket {made['ticket']}"}
    assert httpx.get(f"{quota.url}api/v1/me", headers=headers).status_code == 200
    httpx.get(f"{quota.url}api/v1/me?token={tokens['ada']}", headers={"X\u0065": "1"})
    quota.ask("GET", "me", tokens["ada"])
    quota.ask("GET", "me", "wrong-" + tokens["bob"])
    httpx.get(f"{quota.url}api/v1/claims/a%0d%0aFAKE%20LINE", headers=headers)
    quota.end()
    said = quota.said()
    for secret in (made["ticket"], tokens["ada"], tokens["bob"], *hub.tokens.values()):
        assert secret not in said
    assert "\nFAKE LINE" not in said


def test_a_ticket_outlives_a_restart_of_the_service(quota: Quota, hub: Hub):
    made = quota.ask("POST", "tickets", hub.tokens["spawner"], json={"user": "ada"}).json()
    quota.end(signal.SIGKILL)
    quota.start()
    quota.wait_ready()
    headers = {"Authorization": f"Ticket {made['ticket']}"}
    assert httpx.get(f"{quota.url}api/v1/me", headers=headers).json()["user"] == "ada"


def test_a_ledger_of_a_newer_mlhub_is_refused(hub: Hub, tmp_path: Path):
    with quota_service(hub, tmp_path) as quota:
        quota.end()
    with sqlite3.connect(tmp_path / "ledger.sqlite") as ledger:
        ledger.execute(f"update {VERSION_TABLE} set version_num = 'of-the-future'")
    ledger.close()
    quota.start()
    assert quota.process is not None
    assert quota.process.wait(30) == 78
    assert "newer" in quota.said()
