"""How the report of first use is sent: when it is repeated, when it ends, what it never does."""

import itertools
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tornado.web import RequestHandler

from mlhub.singleuser import extension, first_use
from mlhub.singleuser.first_use import Answer, FirstUse, Identity
from tests.singleuser.hub import free_ports
from tests.singleuser.receiver import Receiver

IDENTITY = Identity("ada", "own")


def request(
    name: str = "ada", *, kind: str = "user", token: str = "a person's", status: int = 200
) -> RequestHandler:
    """A completed request as Jupyter Server leaves it."""
    hub_auth = SimpleNamespace(get_token=lambda _: token)
    handler = SimpleNamespace(
        settings={"identity_provider": SimpleNamespace(hub_auth=hub_auth)},
        _jupyter_current_user=SimpleNamespace(hub_user={"name": name, "kind": kind}),
        get_status=lambda: status,
    )
    return cast(RequestHandler, handler)


def anonymous() -> RequestHandler:
    handler = cast(Any, request())
    handler._jupyter_current_user = None
    return cast(RequestHandler, handler)


@pytest.mark.parametrize("status", [200, 101, 304])
def test_an_owners_page_or_websocket_counts(status: int) -> None:
    assert IDENTITY.made(request(status=status))


@pytest.mark.parametrize(
    "handler",
    [
        pytest.param(anonymous(), id="the hub's check"),
        pytest.param(request("eve"), id="another user"),
        pytest.param(request(kind="service"), id="a service of the owner's name"),
        pytest.param(request(token="own"), id="the server's own token"),
        pytest.param(request(status=403), id="a refusal"),
    ],
)
def test_others_requests_do_not_count(handler: RequestHandler) -> None:
    assert not IDENTITY.made(handler)


def test_waits_double_up_to_half_a_minute_and_never_end() -> None:
    seconds = list(itertools.islice(first_use.waits(), 2000))
    assert seconds[:4] == [0.5, 1.0, 2.0, 4.0]
    assert set(seconds[6:]) == {30.0}


async def reported(receiver: Receiver, statuses: list[int]) -> tuple[Answer, list[float]]:
    """The end of a report to a service that answers so, and the waits between."""
    lease, waited = f"lease-{len(receiver.reports)}", list[float]()
    receiver.statuses[lease] = statuses

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    async def post() -> Answer:
        return await first_use.post_used(receiver.url, lease, "own")

    watcher = FirstUse(IDENTITY, post, sleep=sleep)
    for _ in range(3):
        watcher.observe(request())
    assert watcher.report is not None
    return await watcher.report, waited


async def test_failures_are_repeated_until_acknowledged(receiver: Receiver) -> None:
    answer, waited = await reported(receiver, [503, 500, 401, 403, 429])
    assert answer is Answer.ACKNOWLEDGED
    assert waited == [0.5, 1.0, 2.0, 4.0, 8.0]


@pytest.mark.parametrize("status", [404, 409, 410])
async def test_a_lease_that_is_gone_ends_the_report(receiver: Receiver, status: int) -> None:
    assert await reported(receiver, [status]) == (Answer.LEASE_GONE, [])


async def test_a_service_that_is_away_is_asked_again() -> None:
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    assert await first_use.post_used(url, "lease", "own") is Answer.AGAIN


async def test_a_lease_id_cannot_lead_elsewhere(receiver: Receiver) -> None:
    answer = await first_use.post_used(receiver.url, "../../admin?x=1", "own")
    assert answer is Answer.ACKNOWLEDGED
    assert receiver.reports[-1].lease == "../../admin?x=1"


async def test_the_token_is_not_sent_along_a_redirect(receiver: Receiver) -> None:
    receiver.statuses["moved"] = [307]
    assert await first_use.post_used(receiver.url, "moved", "own") is Answer.AGAIN
    assert receiver.of("elsewhere") == []


def test_a_request_that_cannot_be_read_never_breaks_the_server() -> None:
    async def post() -> Answer:
        return Answer.ACKNOWLEDGED

    watcher = FirstUse(IDENTITY, post)
    handler = cast(Any, request())
    handler.settings = {}
    watcher.observe(handler)
    assert watcher.report is None


@pytest.mark.parametrize("missing", ["MLHUB_LEASE_ID", "MLHUB_API_URL", "JUPYTERHUB_API_TOKEN"])
def test_a_server_without_a_lease_reports_nothing(missing: str) -> None:
    names = ("MLHUB_LEASE_ID", "MLHUB_API_URL", "JUPYTERHUB_API_TOKEN", "JUPYTERHUB_USER")
    environment = dict.fromkeys(names, "x")
    assert extension.from_environment(environment) is not None
    assert extension.from_environment(environment | {missing: ""}) is None
