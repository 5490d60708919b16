"""The `authentication:` section refuses what contradicts itself, by the setting's name."""

from typing import Any

import pytest
from pydantic import ValidationError

from mlhub.authentication_settings import AuthenticationSettings

SECRET = {"env": "OAUTH_SECRET"}
GITHUB = {
    "type": "github",
    "client_id": "x",
    "client_secret": SECRET,
    "organizations": ["acme"],
    "allowed_groups": ["acme:ml"],
}
GOOGLE = {
    "type": "google",
    "client_id": "x",
    "client_secret": SECRET,
    "hosted_domains": ["acme.org"],
    "allow_all": True,
}
OIDC = {
    "type": "oidc",
    "client_id": "x",
    "client_secret": SECRET,
    "issuer": "https://idp.acme.org",
    "allow_all": True,
}
ADDRESSES = {
    "authorize_url": "https://a.org/authorize",
    "token_url": "https://a.org/token",
    "userinfo_url": "https://a.org/me",
}
DIRECTORY = {"service_account_file": "/etc/key.json", "administrator": "root"}


def without(section: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in section.items() if key not in keys}


def providers(**sections: dict[str, Any]) -> dict[str, Any]:
    return {"providers": sections}


@pytest.mark.parametrize(
    "section",
    [
        pytest.param({}, id="nothing: the stack chooses"),
        pytest.param({"local_password": True}, id="a local password by yes"),
        pytest.param({"local_password": {"wrong_tries_per_minute": 3}}, id="with a limit"),
        pytest.param({"pam": {"allow_all": True}}, id="pam for every account"),
        pytest.param(providers(github=GITHUB), id="github"),
        pytest.param(providers(google=GOOGLE), id="google: everybody of a domain"),
        pytest.param(providers(idp=OIDC), id="oidc by issuer"),
        pytest.param(providers(idp=without(OIDC, "issuer") | ADDRESSES), id="oidc by addresses"),
        pytest.param(
            providers(idp=OIDC | {"issuer": "http://127.0.0.1:8080/x"}), id="oidc on this machine"
        ),
        pytest.param(
            providers(github=GITHUB, idp=OIDC | {"group_prefix": "idp/"}), id="two with groups"
        ),
        pytest.param(
            providers(idp=OIDC) | {"local_password": True}, id="a provider and the local password"
        ),
    ],
)
def test_a_section_that_makes_sense_is_read(section: dict[str, Any]) -> None:
    AuthenticationSettings.model_validate(section)


CONTRADICTIONS = {
    "everybody, and a list": (
        providers(idp=OIDC | {"allowed_users": ["alice"]}),
        "`allow_all` lets everybody in, so `allowed_users` restricts nobody",
    ),
    "everybody, and groups": (
        {"pam": {"allow_all": True, "allowed_groups": ["ml"]}},
        "`allow_all` lets everybody in, so `allowed_groups` restricts nobody",
    ),
    "allowed and blocked": (
        {"pam": {"allowed_users": ["alice"], "blocked_users": ["alice"]}},
        "`blocked_users` and an allowed list both name 'alice'",
    ),
    "nobody by pam": ({"pam": {}}, "nobody could sign in by pam"),
    "nobody by a provider": (
        providers(github=without(GITHUB, "allowed_groups")),
        "nobody could sign in by this provider",
    ),
    "a secret in the file": (
        providers(idp=OIDC | {"client_secret": "hunter2hunter2"}),
        "client_secret",
    ),
    "a secret in two places": (
        providers(idp=OIDC | {"client_secret": {"env": "A", "file": "/b"}}),
        "exactly one of `file` and `env`",
    ),
    "no secret": (providers(idp=without(OIDC, "client_secret")), "client_secret"),
    "no client": (providers(idp=without(OIDC, "client_id")), "client_id"),
    "google without a domain": (
        providers(google=without(GOOGLE, "hosted_domains")),
        "`hosted_domains` (Google's hd) is missing",
    ),
    "google's groups without a directory": (
        providers(google=without(GOOGLE, "allow_all") | {"allowed_groups": ["ml"]}),
        "groups need `directory`",
    ),
    "a directory of another domain": (
        providers(google=GOOGLE | {"directory": {"other.org": DIRECTORY}}),
        "`directory` has other.org, `hosted_domains` has not",
    ),
    "every github account, and organisations": (
        providers(github=without(GITHUB, "allowed_groups") | {"allow_all": True}),
        "`allow_all` lets every GitHub account in",
    ),
    "a team of another organisation": (
        providers(github=GITHUB | {"allowed_groups": ["acm:ml"]}),
        "'acm:ml' is of no organisation in `organizations`",
    ),
    "a team in upper case": (
        providers(github=GITHUB | {"allowed_groups": ["acme:ML"]}),
        "in lower case",
    ),
    "an issuer without encryption": (
        providers(idp=OIDC | {"issuer": "http://idp.acme.org"}),
        "use https://",
    ),
    "an issuer that looks local": (
        providers(idp=OIDC | {"issuer": "http://localhost.acme.org"}),
        "use https://",
    ),
    "a password in an address": (
        providers(idp=OIDC | {"issuer": "https://me:secret@idp.acme.org"}),
        "no place in an address",
    ),
    "issuer and addresses": (providers(idp=OIDC | ADDRESSES), "`issuer` finds the addresses"),
    "neither issuer nor addresses": (providers(idp=without(OIDC, "issuer")), "give `issuer`"),
    "half of the addresses": (
        providers(idp=without(OIDC, "issuer") | without(ADDRESSES, "token_url")),
        "all of authorize_url, token_url, userinfo_url",
    ),
    "an issuer without openid": (
        providers(idp=OIDC | {"scopes": ["profile"]}),
        "`scopes` must contain openid",
    ),
    "another id than sub": (
        providers(idp=OIDC | {"subject_claim": "email"}),
        "stable id is `sub`",
    ),
    "groups without their claim": (
        providers(idp=without(OIDC, "allow_all") | {"groups_claim": None, "admin_groups": ["a"]}),
        "`groups_claim` is null",
    ),
    "groups that nobody manages": (
        providers(github=GITHUB) | {"manage_groups": False},
        "`manage_groups` is false, but `providers.github` names groups",
    ),
    "pam's groups that nobody manages": (
        {"pam": {"allowed_groups": ["ml"]}, "manage_groups": False},
        "`manage_groups` is false, but `pam` names groups",
    ),
    "two providers whose groups meet": (
        providers(github=GITHUB, idp=OIDC),
        "providers github and idp give groups of the same names",
    ),
    "two forms": (
        {"local_password": True, "pam": {"allow_all": True}},
        "both ask for a name and a password",
    ),
    "an unknown provider": (providers(x={"type": "saml"}), "saml"),
    "a provider's name with a slash": (providers(**{"a/b": OIDC}), "providers.a/b"),
    "an unknown key": ({"local_pasword": True}, "local_pasword"),
    "an account for no user name": (
        providers(idp=OIDC | {"accounts": {"1": "../root"}}),
        "accounts",
    ),
}


@pytest.mark.parametrize(("section", "text"), CONTRADICTIONS.values(), ids=CONTRADICTIONS.keys())
def test_a_contradiction_is_named(section: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError) as error:
        AuthenticationSettings.model_validate(section)
    assert text in str(error.value)


def test_the_section_has_a_json_schema() -> None:
    schema = AuthenticationSettings.model_json_schema()
    assert {"local_password", "pam", "providers"} <= set(schema["properties"])
