"""JupyterHub's API as the broker uses it, against a real hub."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator

import pytest

from mlhub.adapters.hub import HubApi
from mlhub.broker.ports import HubUser, ServerState
from mlhub.core.errors import HubRefused, HubUnavailable
from tests.services.quota.hub import ADMIN, Hub
from tests.services.quota.running import Quota, quota_service
from tests.singleuser.hub import free_ports, wait_for

pytestmark = pytest.mark.stack


@pytest.fixture
async def api(hub: Hub) -> AsyncIterator[HubApi]:
    api = HubApi(hub.api_url, hub.tokens["quota"])
    yield api
    await api.close()


async def comes_to(api: HubApi, user: str, server: str, state: ServerState) -> None:
    async with asyncio.timeout(120):
        while await api.state(user, server) is not state:
            pause = asyncio.Event()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(pause.wait(), 0.2)


async def test_a_user_has_the_groups_that_the_hub_has(api: HubApi, tokens):
    assert await api.user("ada") == HubUser("ada", False, ("ml",))
    assert await api.user(ADMIN) == HubUser(ADMIN, True, ())
    assert await api.user("nobody-of-that-name") is None


async def test_names_of_users_are_only_names(api: HubApi):
    assert await api.user("../../hub") is None
    assert await api.user("ada/servers") is None
    assert await api.state("nobody/at?all=1", "") is ServerState.ABSENT


@pytest.mark.parametrize("server", ["", "train"])
async def test_a_server_starts_with_its_options_and_stops(api: HubApi, hub: Hub, tokens, server):
    options = {"profile": "gpu", "image": "x y", "wait": True}
    assert await api.state("bob", server) is ServerState.ABSENT
    await api.start("bob", server, json.dumps(options))
    await comes_to(api, "bob", server, ServerState.READY)
    found = hub.api("GET", "users/bob").json()["servers"][server]
    assert found["user_options"] == options
    with pytest.raises(HubRefused, match="already running") as refused:
        await api.start("bob", server, "{}")
    assert refused.value.under_way
    await api.stop("bob", server)
    await comes_to(api, "bob", server, ServerState.ABSENT)
    await api.stop("bob", server)


async def test_a_server_that_never_was_is_stopped_without_a_word(api: HubApi, tokens):
    await api.stop("ada", "never-was")
    await api.stop("nobody-of-that-name", "")


async def test_a_start_that_the_hub_refuses_says_why(api: HubApi, tokens):
    with pytest.raises(HubRefused, match="Invalid server_name"):
        await api.start("ada", "NOT-A-NAME!", "{}")
    with pytest.raises(HubRefused, match="no user 'nobody-of-that-name'"):
        await api.start("nobody-of-that-name", "", "{}")


async def test_a_token_without_rights_is_a_refusal(hub: Hub, tokens):
    api = HubApi(hub.api_url, hub.tokens["stranger"])
    try:
        with pytest.raises(HubRefused) as refused:
            await api.start("ada", "", "{}")
        assert not refused.value.barred
    finally:
        await api.close()


async def test_a_hub_that_is_not_there_is_unavailable(tokens):
    api = HubApi(f"http://127.0.0.1:{free_ports(1)[0]}/hub/api", "token")
    try:
        for question in (api.user("ada"), api.state("ada", ""), api.start("ada", "", "{}")):
            with pytest.raises(HubUnavailable, match="does not answer"):
                await question
    finally:
        await api.close()


@pytest.fixture
def quota(hub: Hub, tmp_path) -> Iterator[Quota]:
    with quota_service(hub, tmp_path) as quota:
        yield quota


def test_the_server_of_who_waited_is_started_at_their_turn(quota: Quota, hub: Hub, tokens):
    """The claim waits in the ledger; at the grant the service starts the server by itself."""
    first = quota.claim(tokens["ada"], "all-of-them", count=4).json()["lease"]["id"]
    options = {"profile": "gpu", "wait": True}
    waiting = quota.claim(tokens["bob"], "will-wait", wait=True, user_options=options)
    assert (waiting.status_code, waiting.json()["position"]) == (202, 1)
    quota.ask("DELETE", f"leases/{first}", hub.tokens["spawner"])

    def server() -> dict:
        return hub.api("GET", "users/bob").json()["servers"].get("", {})

    started = wait_for("bob's server", server)
    assert started["user_options"] == options
    stands = quota.ask("GET", f"claims/{waiting.json()['claim']}", tokens["bob"]).json()
    assert (stands["state"], stands["lease"]["from_queue"]) == ("granted", True)
    hub.api("DELETE", "users/bob/server")
    wait_for("the server's end", lambda: not server())
