"""What happens while JupyterHub, or the database, is away; and how long a right is remembered."""

import sqlite3

import pytest

from hub_services.quota import sign_in
from mlhub.adapters.clock import ManualClock
from mlhub.adapters.sql import SqlStore
from tests.services.quota.desk import Desk, open_desk
from tests.singleuser.hub import free_ports


@pytest.fixture
def nowhere() -> str:
    return f"http://127.0.0.1:{free_ports(1)[0]}/hub/api"


async def test_who_is_not_known_yet_is_told_that_the_hub_is_away(desk: Desk, nowhere: str):
    desk.service.sign_in.api_url = nowhere
    answer = await desk.ask("GET", "me", who="ada")
    assert (answer.status, answer.body["type"]) == (503, "urn:mlhub:problem:hub-unavailable")
    assert answer.headers["Retry-After"] == "5"
    assert answer.body["retry_at"]


async def test_who_is_known_goes_on_while_the_hub_restarts(desk: Desk, nowhere, monkeypatch):
    assert (await desk.ask("GET", "me", who="ada")).status == 200
    desk.service.sign_in.api_url = nowhere
    monkeypatch.setattr(sign_in, "FRESH", 0.0)
    assert (await desk.ask("GET", "me", who="ada")).status == 200
    monkeypatch.setattr(sign_in, "BELIEVED", 0.0)
    assert (await desk.ask("GET", "me", who="ada")).status == 503


async def test_a_hub_that_knows_not_even_this_service_is_not_believed(desk: Desk, monkeypatch):
    """Such as one whose own disk is full: it says of every token that it is nobody's."""
    desk.tokens = {**desk.tokens, "a stranger": "0" * 32, "a newcomer": "1" * 32}
    assert (await desk.ask("GET", "me", who="a stranger")).status == 401
    desk.service.sign_in.api_token = "2" * 32
    monkeypatch.setattr(sign_in, "STRANGE", 0.0)
    answer = await desk.ask("GET", "me", who="a newcomer")
    assert (answer.status, answer.body["type"]) == (503, "urn:mlhub:problem:hub-unavailable")


async def test_a_right_that_was_taken_away_is_gone_soon(desk: Desk, hub, monkeypatch):
    made = hub.api("POST", "users/bob/tokens", json={"note": "to be revoked"}).json()
    desk.tokens = {**desk.tokens, "a script": made["token"]}
    assert (await desk.ask("GET", "me", who="a script")).status == 200
    hub.api("DELETE", f"users/bob/tokens/{made['id']}")
    monkeypatch.setattr(sign_in, "FRESH", 0.0)
    assert (await desk.ask("GET", "me", who="a script")).status == 401


async def test_a_claim_for_a_user_whose_groups_nobody_can_tell_is_put_off(desk: Desk):
    desk.world.hub.away = True
    answer = await desk.claim("the spawner", user="zoe")
    assert (answer.status, answer.body["type"]) == (503, "urn:mlhub:problem:hub-unavailable")
    assert (await desk.inventory())["held"] == 0


async def test_a_database_that_is_locked_is_told_and_asking_again_works(hub, tokens, tmp_path):
    clock, file = ManualClock(), tmp_path / "ledger.sqlite"
    store = SqlStore(f"sqlite:///{file}", clock, patience=0.5)
    async with open_desk(hub, tokens, store=store, clock=clock) as desk:
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("begin exclusive")
        answer = await desk.claim("ada", key="while-locked")
        assert (answer.status, answer.body["type"]) == (503, "urn:mlhub:problem:ledger-unavailable")
        assert answer.headers["Retry-After"] == "2"
        other.execute("rollback")
        other.close()
        again = await desk.claim("ada", key="while-locked")
        assert again.status == 201
        assert (await desk.inventory())["held"] == 1
        await store.close()
