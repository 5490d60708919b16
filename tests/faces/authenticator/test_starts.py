"""Two presses of Start at once: the second is told so, and whatever else is asked passes."""

import gc

import pytest
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine
from tornado.web import Application, RequestHandler

from mlhub.authenticator.starts import AlreadyStartingError, Starts, server_of


class TheHub:
    base_url = "/team/hub/"


class Handler(RequestHandler):
    """A request to the hub, as its handlers have it."""

    hub = TheHub()


class Connection:
    """As much of a connection as a handler asks for before it answers."""

    context = None

    def set_close_callback(self, _: object) -> None:
        """Nobody leaves."""


def asked(path: str, method: str = "POST") -> Handler:
    line = RequestStartLine(method, f"/team/hub/{path}", "HTTP/1.1")
    headers = HTTPHeaders({"Host": "hub.example"})
    request = HTTPServerRequest(start_line=line, headers=headers, connection=Connection())
    return Handler(Application(), request)


@pytest.mark.parametrize(
    ("path", "server"),
    [
        ("api/users/ada/server", ("ada", "")),
        ("api/users/ada%20b/server", ("ada b", "")),
        ("api/users/ada/servers/", ("ada", "")),
        ("api/users/ada/servers/second", ("ada", "second")),
        ("api/users/ada/servers/zwei%20drei", ("ada", "zwei drei")),
        ("spawn", ("", "")),
        ("spawn/ada", ("ada", "")),
        ("spawn/ada/second", ("ada", "second")),
        ("api/users/ada", None),
        ("api/users/ada/servers/second/progress", None),
        ("login", None),
    ],
)
def test_a_request_that_starts_a_server_is_known_by_its_address(path, server):
    assert server_of(asked(path)) == server
    assert server_of(asked(path, "GET")) is None
    assert server_of(None) is None


def test_a_second_start_is_refused_while_the_first_is_under_way():
    starts, first = Starts(), asked("spawn/ada")
    starts.begin("ada", first)
    starts.begin("ada", first)
    with pytest.raises(AlreadyStartingError) as refused:
        starts.begin("ada", asked("api/users/ada/server"))
    assert refused.value.status_code == 409
    assert "being started already" in refused.value.jupyterhub_message


def test_other_servers_other_people_and_later_starts_pass():
    starts, first = Starts(), asked("spawn/ada")
    starts.begin("ada", first)
    starts.begin("ada", asked("spawn/ada/second"))
    starts.begin("bob", asked("spawn/bob"))
    first._finished = True
    starts.begin("ada", asked("spawn/ada"))


@pytest.mark.parametrize("path", ["api/users/bob/server", "spawn/bob"])
def test_who_starts_somebody_elses_server_can_start_their_own_meanwhile(path):
    starts, for_bob, own = Starts(), asked(path), asked("spawn")
    starts.begin("admin", for_bob)
    starts.begin("bob", for_bob)
    starts.begin("admin", own)
    with pytest.raises(AlreadyStartingError):
        starts.begin("admin", asked("api/users/admin/server"))
    with pytest.raises(AlreadyStartingError):
        starts.begin("bob", asked("spawn"))


def test_a_start_that_was_given_up_is_forgotten():
    starts = Starts()
    starts.begin("ada", asked("spawn/ada"))
    gc.collect()
    starts.begin("ada", asked("spawn/ada"))
