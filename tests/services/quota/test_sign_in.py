"""Signing in by browser: cookies, XSRF, requests of other sites, and where one lands."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.services.quota.hub import ADMIN, PREFIX, Hub
from tests.services.quota.running import Quota, quota_service

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def quota(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Quota]:
    with quota_service(hub, tmp_path_factory.mktemp("sign-in")) as quota:
        yield quota


class Browser:
    """What a browser sends: cookies, and headers that no page can forge."""

    def __init__(self, hub: Hub, name: str) -> None:
        self.hub = hub
        self.client = hub.sign_in(name)

    def visit(self, path: str = "") -> httpx.Response:
        return self.client.get(f"{self.hub.quota}{path}", headers={"Sec-Fetch-Mode": "navigate"})

    @property
    def xsrf(self) -> str:
        values = [row.value for row in self.client.cookies.jar
                  if row.name == "_xsrf" and row.path == PREFIX]  # fmt: skip
        return str(values[0])

    def fetch(self, method: str, path: str, **headers: str) -> httpx.Response:
        """What a script of a page of this service does, unless the headers say otherwise."""
        given = {
            "Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin", "X-XSRFToken": self.xsrf,
            "Idempotency-Key": f"browser-{self.xsrf[-20:]}",
        }  # fmt: skip
        sent = {name.replace("_", "-"): text for name, text in headers.items()}
        body = {"flavor": "a100", "wait": True} if method == "POST" else None
        return self.client.request(
            method, f"{self.hub.quota}api/v1/{path}", headers=given | sent, json=body
        )


@pytest.fixture(scope="module")
def browser(hub: Hub, quota: Quota, tokens) -> Iterator[Browser]:
    browser = Browser(hub, "ada")
    assert browser.visit().status_code == 200
    yield browser
    browser.client.close()


def test_a_visitor_signs_in_at_the_hub_and_lands_where_they_wanted(hub: Hub, quota: Quota, tokens):
    bob = Browser(hub, "bob")
    answer = bob.visit("who")
    assert answer.status_code == 200
    assert str(answer.url) == f"{hub.quota}who"
    bob.client.close()


def test_somebody_unknown_is_sent_to_the_hubs_login(hub: Hub, quota: Quota):
    answer = httpx.get(hub.quota, follow_redirects=True)
    assert answer.url.path == "/hub/login"


def test_a_script_of_our_pages_reads_and_writes(browser: Browser):
    assert browser.fetch("GET", "me").json()["user"] == "ada"
    answer = browser.fetch("POST", "claims", Origin=browser.hub.url)
    assert answer.status_code in {201, 202}, answer.text


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        pytest.param({"X_XSRFToken": ""}, "stale-page", id="without the token"),
        pytest.param({"X_XSRFToken": "2|aaaa|bbbb|1"}, "stale-page", id="with a made-up token"),
        pytest.param({"Sec_Fetch_Site": "cross-site"}, "cross-site", id="from another site"),
        pytest.param({"Sec_Fetch_Site": "same-site"}, "cross-site", id="from a sibling"),
        pytest.param({"Sec_Fetch_Mode": "no-cors"}, "cross-site", id="blindly"),
        pytest.param({"Origin": "https://evil.example"}, "cross-site", id="by another origin"),
        pytest.param({"Origin": "null"}, "cross-site", id="by a sandbox"),
    ],
)
def test_a_change_that_is_not_from_our_pages_is_refused(browser: Browser, headers, kind):
    before = browser.fetch("GET", "me").json()
    answer = browser.fetch("POST", "claims", Idempotency_Key="forged-key", **headers)
    assert (answer.status_code, answer.json()["type"]) == (403, f"urn:mlhub:problem:{kind}")
    after = browser.fetch("GET", "me").json()
    assert len(after["leases"] + after["claims"]) == len(before["leases"] + before["claims"])


def test_the_token_of_somebody_else_does_not_help(hub: Hub, browser: Browser):
    bob = Browser(hub, "bob")
    bob.visit()
    answer = browser.fetch("POST", "claims", X_XSRFToken=bob.xsrf, Idempotency_Key="foreign-key")
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:mlhub:problem:stale-page")
    bob.client.close()


def test_a_script_without_the_token_does_not_even_read(browser: Browser):
    assert browser.fetch("GET", "me", X_XSRFToken="").status_code == 403


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        pytest.param({}, "too old", id="an old page"),
        pytest.param({"Sec-Fetch-Site": "cross-site"}, "another site", id="another site's"),
    ],
)
def test_a_form_without_the_token_changes_nothing(
    browser: Browser, quota: Quota, tokens, headers: dict[str, str], why: str
):
    lease = browser.fetch("GET", "me").json()["leases"][0]["id"]
    url = f"{browser.hub.quota}leases/{lease}/release"
    answer = browser.client.post(url, data={}, headers={"Sec-Fetch-Mode": "navigate"} | headers)
    assert answer.status_code == 403
    audit = quota.ask("GET", "audit", tokens["the operator"]).json()["items"]
    (line,) = [
        row for row in audit if row["subject"] == "POST form release" and why in row["detail"]
    ]
    assert (line["actor"], line["action"]) == ("ada", "refused")
    assert browser.fetch("GET", "me").json()["leases"][0]["target"] == "active"


@pytest.mark.parametrize("state", ["", "x" * 200, "../../evil", "//evil.example/"])
def test_a_forged_return_from_the_sign_in_leads_nowhere(browser: Browser, state: str):
    url, query = f"{browser.hub.quota}oauth_callback", {"code": "abc", "state": state}
    stranger = httpx.get(url, params=query)
    assert (stranger.status_code, "text/html" in stranger.headers["Content-Type"]) == (403, True)
    known = browser.client.get(url, params=query)
    assert str(known.url) == browser.hub.quota


def test_an_admin_who_signed_in_is_an_operator(hub: Hub, quota: Quota, tokens):
    admin = Browser(hub, ADMIN)
    admin.visit()
    assert admin.fetch("GET", "me").json()["operator"] is True
    assert admin.fetch("GET", "audit").status_code == 200
    admin.client.close()


def test_the_cookies_of_the_service_stay_under_its_path(browser: Browser):
    names = {(row.name, row.path) for row in browser.client.cookies.jar}
    assert ("service-quota", PREFIX) in names
    assert ("service-quota", "/") not in names


def test_a_sign_in_outlives_a_restart_of_the_service(browser: Browser, quota: Quota):
    quota.end()
    quota.start()
    quota.wait_ready()
    assert browser.fetch("GET", "me").status_code == 200


def test_pages_of_other_sites_cannot_frame_ours(browser: Browser):
    headers = browser.visit().headers
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
