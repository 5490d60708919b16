"""What the log never holds, and which requests are foreign."""

import logging

import pytest
from tornado.httputil import HTTPHeaders

from hub_services.quota.logs import Discreet
from hub_services.quota.origins import foreign

SECRET = "5f9a46a3c6bd4a84902e1f1eb11d1d1f"


@pytest.mark.parametrize(
    ("text", "args"),
    [
        (f"headers: {{'Authorization': 'Bearer {SECRET}'}}", ()),
        (f"Authorization: token {SECRET}", ()),
        ("%s", (f"authorization: Ticket {SECRET}.abc",)),
        (f"GET /services/quota/api/v1/me?token={SECRET}&limit=1", ()),
        ("GET %s", (f"/events?_xsrf={SECRET}",)),
    ],
)
def test_a_credential_is_taken_out_of_a_line(text: str, args: tuple):
    record = logging.LogRecord("any", logging.INFO, "", 0, text, args, None)
    line = Discreet().format(record)
    assert SECRET not in line
    assert "[hidden]" in line


def test_a_plain_line_stays_as_it_is():
    text = "the token lacks a scope for %s"
    record = logging.LogRecord("any", logging.INFO, "", 0, text, ("it",), None)
    assert Discreet().format(record) == "the token lacks a scope for it"


@pytest.mark.parametrize(
    ("headers", "refused"),
    [
        pytest.param({}, False, id="no browser"),
        pytest.param({"Origin": "http://hub.example", "Host": "hub.example"}, False, id="own"),
        pytest.param(
            {"Origin": "https://a.example", "Host": "10.0.0.1", "X-Forwarded-Host": "a.example"},
            False, id="own, behind a proxy",
        ),
        pytest.param({"Origin": "http://hub.example:81", "Host": "hub.example"}, True, id="port"),
        pytest.param({"Origin": "http://[", "Host": "hub.example"}, True, id="broken"),
        pytest.param({"Origin": "null", "Host": "hub.example"}, True, id="sandbox"),
        pytest.param({"Sec-Fetch-Site": "same-origin"}, False, id="same origin"),
        pytest.param({"Sec-Fetch-Site": "none"}, False, id="typed"),
        pytest.param({"Sec-Fetch-Site": "cross-site"}, True, id="cross-site"),
        pytest.param({"Sec-Fetch-Site": "anything"}, True, id="a word of the future"),
        pytest.param({"Sec-Fetch-Mode": "no-cors"}, True, id="no-cors"),
    ],
)  # fmt: skip
def test_a_foreign_page_changes_nothing(headers: dict[str, str], refused: bool):
    assert bool(foreign("POST", HTTPHeaders(headers))) is refused
    assert bool(foreign("DELETE", HTTPHeaders(headers))) is refused
    assert foreign("GET", HTTPHeaders(headers)) == ""
