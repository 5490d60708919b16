"""Signing in with Google: domains, verified addresses, groups by a service account."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlparse

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from oauthenticator.tests.mocks import setup_oauth_mock
from tornado import web

from mlhub.authenticator.google import short_address
from mlhub.authenticator.multi import MultiAuthenticator
from tests.faces.authenticator.providers import User, authenticator, sign_in

# oauthenticator's mock handler makes its request in the way that tornado is about to drop
pytestmark = pytest.mark.filterwarnings("ignore:.*HTTPServerRequest:DeprecationWarning")

ACME = {"type": "google", "hosted_domains": ["acme.org"], "allow_all": True}
TWO = ACME | {"hosted_domains": ["acme.org", "acme.com"]}


def google(state: Path, section: dict[str, Any]) -> MultiAuthenticator:
    made = authenticator(state, "google", section)
    setup_oauth_mock(
        made.methods["google"].http_client,
        "www.googleapis.com",
        "/oauth2/v4/token",
        "/oauth2/v1/userinfo",
    )
    return made


def account(number: str, email: str, **more: Any) -> dict[str, Any]:
    domain = email.partition("@")[2]
    return {"id": number, "email": email, "verified_email": True, "hd": domain, **more}


async def test_an_address_of_the_one_domain_is_a_user_without_it(tmp_path: Path) -> None:
    model = await sign_in(google(tmp_path, ACME), "google", account("1", "Alice@acme.org"))
    assert model["name"] == "alice"


async def test_addresses_of_two_domains_are_two_users(tmp_path: Path) -> None:
    made = google(tmp_path, TWO)
    one = await sign_in(made, "google", account("1", "alice@acme.org"))
    two = await sign_in(made, "google", account("2", "alice@acme.com"))
    assert one["name"] != two["name"]
    assert one["name"].startswith("alice-acme-org-")


async def test_an_alias_of_another_domain_is_not_shortened(tmp_path: Path) -> None:
    made = google(tmp_path, ACME)
    alias = account("3", "alice@alias.org", hd="acme.org")
    await sign_in(made, "google", account("1", "alice@acme.org"))
    assert (await sign_in(made, "google", alias))["name"].startswith("alice-alias-org-")


REFUSED = {
    "another domain": ({"hd": "evil.org"}, "of acme.org"),
    "a private account with an address of the domain": ({"hd": None}, "of acme.org"),
    "a domain in upper case": ({"hd": "ACME.ORG"}, "of acme.org"),
    "a list of domains": ({"hd": ["acme.org"]}, "could not be read"),
    "an address that is not verified": ({"verified_email": False}, "not verified"),
    "nothing said about it": ({"verified_email": None}, "not verified"),
    "a word for yes": ({"verified_email": "true"}, "not verified"),
    "no number": ({"id": None}, "did not say who you are"),
}


@pytest.mark.parametrize(("facts", "text"), REFUSED.values(), ids=REFUSED)
async def test_other_accounts_are_refused_though_everybody_is_allowed(
    tmp_path: Path, facts: dict[str, Any], text: str
) -> None:
    with pytest.raises(web.HTTPError, match=text):
        await sign_in(google(tmp_path, ACME), "google", account("1", "a@acme.org") | facts)


async def test_a_recycled_address_is_refused(tmp_path: Path) -> None:
    made = google(tmp_path, ACME)
    await sign_in(made, "google", account("1", "alice@acme.org"))
    with pytest.raises(web.HTTPError, match="belongs to another account"):
        await sign_in(made, "google", account("2", "alice@acme.org"))


@pytest.mark.parametrize("name", ["bob", "bob@acme.org", "Bob@ACME.org"])
async def test_a_rule_names_people_with_or_without_the_domain(tmp_path: Path, name: str) -> None:
    section = {**ACME, "allow_all": False, "allowed_users": [name]}
    made = google(tmp_path, section)
    assert (await sign_in(made, "google", account("1", "bob@acme.org")))["name"] == "bob"
    with pytest.raises(web.HTTPError, match="not on the list"):
        await sign_in(made, "google", account("2", "eve@acme.org"))


class Directory(BaseHTTPRequestHandler):
    """Google's token endpoint for service accounts, on this machine."""

    asked: ClassVar[list[dict[str, list[str]]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.asked.append(parse_qs(body))
        answer = json.dumps({"access_token": "service-token", "expires_in": 3600}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_words: Any) -> None:
        """Says nothing."""


@pytest.fixture
def service_account(tmp_path: Path) -> Iterator[Path]:
    server = HTTPServer(("127.0.0.1", 0), Directory)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path = tmp_path / "service-account.json"
    facts = {
        "type": "service_account",
        "client_email": "groups@project.example",
        "private_key": pem.decode(),
        "private_key_id": "1",
        "token_uri": f"http://127.0.0.1:{server.server_port}/token",
    }
    path.write_text(json.dumps(facts))
    path.chmod(0o600)
    yield path
    server.shutdown()
    thread.join()
    server.server_close()


async def test_groups_are_read_with_the_domains_service_account(
    tmp_path: Path, service_account: Path
) -> None:
    directory = {"service_account_file": str(service_account), "administrator": "root"}
    rules = {"allow_all": False, "allowed_groups": ["ml"], "admin_groups": ["gpu-admins"]}
    made = google(tmp_path, {**ACME, **rules, "directory": {"acme.org": directory}})
    member = ["ml@acme.org", "gpu-admins@acme.org"]

    def groups(request: Any) -> dict[str, Any]:
        assert request.headers["Authorization"] == "Bearer service-token"
        assert parse_qs(urlparse(request.url).query)["userKey"] == ["alice@acme.org"]
        return {"groups": [{"email": email} for email in member]}

    hosts = made.methods["google"].http_client.hosts["www.googleapis.com"]
    hosts.append(("/admin/directory/v1/groups", groups))
    model = await sign_in(made, "google", account("1", "alice@acme.org"))
    assert (model["groups"], model["admin"]) == (["gpu-admins", "ml"], True)
    assert Directory.asked[-1]["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]

    member.remove("gpu-admins@acme.org")
    fresh = await made.refresh_user(User(model))
    assert (fresh["groups"], fresh["admin"]) == (["ml"], False)


@pytest.mark.parametrize(
    ("address", "domains", "login"),
    [
        pytest.param("Alice@Acme.org", {"acme.org"}, "alice", id="the one domain"),
        pytest.param("alice@acme.com", {"acme.org"}, "alice@acme.com", id="another"),
        pytest.param("alice@acme.org", {"acme.org", "b.org"}, "alice@acme.org", id="two domains"),
        pytest.param("@acme.org", {"acme.org"}, "@acme.org", id="no name"),
        pytest.param("alice", {"acme.org"}, "alice", id="no domain"),
        pytest.param(None, {"acme.org"}, None, id="nothing"),
    ],
)
def test_an_address_is_shortened_where_nobody_else_could_have_it(
    address: object, domains: set[str], login: str | None
) -> None:
    assert short_address(address, frozenset(domains)) == login
