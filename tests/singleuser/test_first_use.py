"""The report of first use, from a real server of a real hub to a real receiver."""

from collections.abc import Iterator

import httpx
import pytest

from tests.singleuser.hub import Hub, descendants, wait_for
from tests.singleuser.receiver import Receiver

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def server_of_grace(hub: Hub) -> Iterator[str]:
    hub.add_user("grace")
    yield hub.start_server("grace")
    hub.api("DELETE", "users/grace/server")


def get(url: str, token: str = "") -> int:
    headers = {"Authorization": f"token {token}"} if token else {}
    return httpx.get(url, headers=headers, timeout=60).status_code


def own_token(hub: Hub) -> str:
    """The token that the hub gave the server, read from the server's process."""
    environments = (server.environ() for server in descendants("jupyterhub.singleuser"))
    return next(
        environment["JUPYTERHUB_API_TOKEN"]
        for environment in environments
        if environment.get("MLHUB_LEASE_ID") == "lease-of-grace"
    )


def test_only_the_owner_as_a_person_counts_and_is_reported_once(
    hub: Hub, receiver: Receiver, server_of_grace: str
) -> None:
    """One test, because the first request that counts ends the waiting for good."""
    lease = "lease-of-grace"
    receiver.statuses[lease] = [503, 500]
    hub.add_user("eve")
    token = own_token(hub)
    assert get(f"{server_of_grace}api") == 200  # the hub's own check
    assert get(f"{server_of_grace}api/status") == 403  # nobody
    assert get(f"{server_of_grace}api/status", hub.token_of("eve")) == 403  # another user
    assert get(f"{server_of_grace}api/status", hub.token) == 200  # a service that may look in
    assert get(f"{server_of_grace}api/status", token) == 200  # a kernel, with the server's token
    assert get(f"{server_of_grace}api/nothing-here", hub.token_of("grace")) == 404  # no success
    assert receiver.of(lease) == []

    assert get(f"{server_of_grace}api/status", hub.token_of("grace")) == 200
    wait_for("acknowledged report", lambda: [r for r in receiver.of(lease) if r.status == 204])
    for _ in range(3):
        get(f"{server_of_grace}api/status", hub.token_of("grace"))
    assert [report.status for report in receiver.of(lease)] == [503, 500, 204]
    assert {report.authorization for report in receiver.of(lease)} == {f"token {token}"}
