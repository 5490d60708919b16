"""What an OpenID provider may say: discovery, claims, id tokens; played by mocks."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from oauthenticator.tests.mocks import setup_oauth_mock
from tornado import web

from mlhub.adapters.clock import SystemClock
from mlhub.authenticator.multi import MultiAuthenticator
from mlhub.authenticator.oauth_method import ProviderSilent
from tests.faces.authenticator.providers import authenticator, sign_in

# oauthenticator's mock handler makes its request in the way that tornado is about to drop
pytestmark = pytest.mark.filterwarnings("ignore:.*HTTPServerRequest:DeprecationWarning")

ISSUER = "https://idp.acme.org/realms/main"
DOCUMENT = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/auth",
    "token_endpoint": f"{ISSUER}/token",
    "userinfo_endpoint": f"{ISSUER}/me",
    "jwks_uri": f"{ISSUER}/keys",
    "id_token_signing_alg_values_supported": ["RS256"],
}
KEY = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
OTHER_KEY = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
NOW = SystemClock().now()
PATH = "/realms/main"


def jwks(key: rsa.RSAPrivateKey = KEY, name: str = "k1") -> dict[str, Any]:
    public = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {"keys": [public | {"kid": name, "use": "sig"}]}


def id_token(subject: str, key: rsa.RSAPrivateKey = KEY, name: str = "k1") -> str:
    claims = {"iss": ISSUER, "aud": "mlhub", "sub": subject, "iat": NOW}
    claims["exp"] = NOW + timedelta(hours=12)  # the whole test run, from when this was imported
    return jwt.encode(claims, key, algorithm="RS256", headers={"kid": name})


def provider(state: Path, document: Any = None, **section: Any) -> MultiAuthenticator:
    defaults = {"type": "oidc", "issuer": ISSUER, "allow_all": True}
    made = authenticator(state, "company", defaults | section)
    client = made.methods["company"].http_client
    setup_oauth_mock(client, "idp.acme.org", f"{PATH}/token", f"{PATH}/me")
    client.hosts["idp.acme.org"] += [
        (f"{PATH}/.well-known/openid-configuration", lambda _r: document or DOCUMENT),
        (f"{PATH}/keys", lambda _r: jwks()),
    ]
    return made


def person(subject: str = "1", token_of: str | None = None, **claims: Any) -> dict[str, Any]:
    facts = {"sub": subject, "preferred_username": "alice", **claims}
    return facts | {"id_token": id_token(token_of or subject)}


async def test_a_person_with_a_signed_id_token_comes_in(tmp_path: Path) -> None:
    model = await sign_in(provider(tmp_path), "company", person())
    assert model["name"] == "alice"


BAD_TOKENS = {
    "no id token": (None, "cannot be trusted"),
    "signed by somebody else": (id_token("1", OTHER_KEY), "cannot be trusted"),
    "by a key nobody has": (id_token("1", OTHER_KEY, "k7"), "cannot be trusted"),
    "of another person": (id_token("2"), "two different people"),
}


@pytest.mark.parametrize(("token", "text"), BAD_TOKENS.values(), ids=BAD_TOKENS)
async def test_without_a_right_id_token_nobody_comes_in(
    tmp_path: Path, token: str | None, text: str
) -> None:
    facts = person() | ({"id_token": token} if token else {})
    if token is None:
        del facts["id_token"]
    made = provider(tmp_path)
    with pytest.raises(web.HTTPError, match=text):
        await sign_in(made, "company", facts)
    assert made.doorkeeper.book.all() == []


async def test_a_rotated_key_is_fetched_once_more(tmp_path: Path) -> None:
    made = provider(tmp_path)
    await sign_in(made, "company", person())
    hosts = made.methods["company"].http_client.hosts["idp.acme.org"]
    hosts[-1] = (f"{PATH}/keys", lambda _r: jwks(OTHER_KEY, "k2"))
    rotated = person() | {"id_token": id_token("1", OTHER_KEY, "k2")}
    assert (await sign_in(made, "company", rotated))["name"] == "alice"


CLAIMS = {
    "no user name": ({}, {"preferred_username": None}, "gave no login of yours"),
    "a user name that is a list": ({}, {"preferred_username": ["alice"]}, "gave no login"),
    "no stable id": ({}, {"sub": ""}, "did not say who you are"),
    "an address that is not verified": (
        {"username_claim": "email"},
        {"email": "a@x.org"},
        "has not verified the e-mail",
    ),
    "an address that is verified by a word": (
        {"username_claim": "email"},
        {"email": "a@x.org", "email_verified": "true"},
        "has not verified the e-mail",
    ),
    "an address where it must be verified": (
        {"require_verified_email": True},
        {"email_verified": False},
        "has not verified",
    ),
}


@pytest.mark.parametrize(("section", "claims", "text"), CLAIMS.values(), ids=CLAIMS)
async def test_claims_that_name_nobody_are_refused(
    tmp_path: Path, section: dict[str, Any], claims: dict[str, Any], text: str
) -> None:
    made = provider(tmp_path, **section)
    with pytest.raises(web.HTTPError, match=text):
        await sign_in(made, "company", person(**claims) | {"sub": claims.get("sub", "1")})


async def test_a_verified_address_may_be_the_user_name(tmp_path: Path) -> None:
    made = provider(tmp_path, username_claim="email")
    model = await sign_in(made, "company", person(email="a@x.org", email_verified=True))
    assert model["name"].startswith("a-x-org-")


GROUPS = {
    "a list": ({}, {"groups": ["b", "a"]}, ["a", "b"]),
    "one word is one group": ({}, {"groups": "admins"}, ["admins"]),
    "a claim inside a claim": (
        {"groups_claim": "realm_access.roles"},
        {"realm_access": {"roles": ["r"]}},
        ["r"],
    ),
    "a claim with dots in its name": (
        {"groups_claim": "https://acme.org/groups"},
        {"https://acme.org/groups": ["g"]},
        ["g"],
    ),
    "with a prefix": ({"group_prefix": "idp/"}, {"groups": ["a"]}, ["idp/a"]),
    "none": ({}, {}, []),
    "nonsense": ({}, {"groups": {"a": 1}}, []),
}


@pytest.mark.parametrize(("section", "claims", "groups"), GROUPS.values(), ids=GROUPS)
async def test_groups_are_read_where_the_settings_say(
    tmp_path: Path, section: dict[str, Any], claims: dict[str, Any], groups: list[str]
) -> None:
    model = await sign_in(provider(tmp_path, **section), "company", person(**claims))
    assert model["groups"] == groups


DOCUMENTS = {
    "another issuer": (DOCUMENT | {"issuer": "https://evil.org"}, "correct `issuer`"),
    "the issuer with a slash": (DOCUMENT | {"issuer": f"{ISSUER}/"}, "correct `issuer`"),
    "no token endpoint": (
        {key: value for key, value in DOCUMENT.items() if key != "token_endpoint"},
        "lacks 'token_endpoint'",
    ),
    "a list": (["x"], "no JSON object"),
    "a page": ("<html>", "openid-configuration: "),
    "an error": (500, "openid-configuration: "),
}


@pytest.mark.parametrize(("document", "text"), DOCUMENTS.values(), ids=DOCUMENTS)
async def test_a_discovery_document_that_is_none_is_said_in_the_log(
    tmp_path: Path, document: Any, text: str
) -> None:
    made = provider(tmp_path, document)
    with pytest.raises(ProviderSilent, match=text):
        await made.methods["company"].prepare()
    with pytest.raises(web.HTTPError, match="does not answer just now"):
        await sign_in(made, "company", person())


async def test_explicit_addresses_need_no_discovery(tmp_path: Path) -> None:
    addresses = {
        "authorize_url": f"{ISSUER}/auth",
        "token_url": f"{ISSUER}/token",
        "userinfo_url": f"{ISSUER}/me",
    }
    made = provider(tmp_path, issuer=None, **addresses, subject_claim="uid", username_claim="nick")
    model = await sign_in(made, "company", {"uid": 7, "nick": "alice"})
    assert model["name"] == "alice"
    assert made.methods["company"].namespace == "https://idp.acme.org"
