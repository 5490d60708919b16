"""Signing in with GitHub: organisations and teams are groups, people are numbers."""

from pathlib import Path
from typing import Any

import pytest
from oauthenticator.tests.mocks import setup_oauth_mock
from tornado import web

from mlhub.authenticator.github import groups_of
from mlhub.authenticator.multi import MultiAuthenticator
from tests.faces.authenticator.providers import User, authenticator, sign_in

# oauthenticator's mock handler makes its request in the way that tornado is about to drop
pytestmark = pytest.mark.filterwarnings("ignore:.*HTTPServerRequest:DeprecationWarning")

SECTION = {
    "type": "github",
    "organizations": ["Acme", "lab"],
    "allowed_groups": ["acme:ml", "lab"],
    "admin_groups": ["acme:gpu-admins"],
}


class GitHub:
    """What GitHub says of the visitor, by the visitor's own token."""

    def __init__(self, made: MultiAuthenticator) -> None:
        self.organizations: list[str] = []
        self.teams: list[tuple[str, str]] = []
        client = made.methods["github"].http_client
        host = "github.com"
        setup_oauth_mock(
            client, [host, "api.github.com"], "/login/oauth/access_token", "/user", scope="read:org"
        )
        client.hosts["api.github.com"] += [
            ("/user/orgs", lambda _request: [{"login": name} for name in self.organizations]),
            ("/user/teams", lambda _request: [self._team(*team) for team in self.teams]),
        ]

    def _team(self, organization: str, slug: str) -> dict[str, Any]:
        return {"slug": slug, "name": slug.upper(), "organization": {"login": organization}}


@pytest.fixture
def made(tmp_path: Path) -> MultiAuthenticator:
    return authenticator(tmp_path, "github", SECTION)


@pytest.fixture
def github(made: MultiAuthenticator) -> GitHub:
    return GitHub(made)


def account(number: int, login: str) -> dict[str, Any]:
    return {"id": number, "login": login, "email": None, "name": "x"}


CASES = {
    "a member of a team": ([], [("Acme", "ml")], ["acme:ml"], False),
    "a member of an organisation": (["lab"], [], ["lab"], False),
    "an administrator": (["acme"], [("acme", "gpu-admins")], ["acme", "acme:gpu-admins"], True),
    "groups of other organisations do not count": (
        ["lab", "evil"],
        [("evil", "gpu-admins")],
        ["lab"],
        False,
    ),
    "a member of the wrong team": (["acme"], [("acme", "office")], None, None),
    "an organisation that is called like a team": (["acme:ml"], [], None, None),
    "a member of nothing": ([], [], None, None),
}


@pytest.mark.parametrize(("organizations", "teams", "groups", "admin"), CASES.values(), ids=CASES)
async def test_organisations_and_teams_decide(
    made: MultiAuthenticator, github: GitHub, organizations, teams, groups, admin
) -> None:
    github.organizations, github.teams = organizations, teams
    if groups is None:
        with pytest.raises(web.HTTPError, match="none of your groups"):
            await sign_in(made, "github", account(1, "Alice"))
    else:
        model = await sign_in(made, "github", account(1, "Alice"))
        assert (model["name"], model["groups"], model["admin"]) == ("alice", groups, admin)


async def test_a_renamed_account_keeps_its_user_and_a_recycled_login_gets_none(
    made: MultiAuthenticator, github: GitHub
) -> None:
    github.organizations = ["lab"]
    await sign_in(made, "github", account(1, "alice"))
    assert (await sign_in(made, "github", account(1, "alice-new")))["name"] == "alice"
    with pytest.raises(web.HTTPError, match="belongs to another account"):
        await sign_in(made, "github", account(2, "alice"))


async def test_leaving_a_team_takes_effect_at_the_next_refresh(
    made: MultiAuthenticator, github: GitHub
) -> None:
    github.teams = [("acme", "ml"), ("acme", "gpu-admins")]
    user = User(await sign_in(made, "github", account(1, "alice")))
    github.teams = [("acme", "ml")]
    fresh = await made.refresh_user(user)
    assert (fresh["groups"], fresh["admin"]) == (["acme:ml"], False)


async def test_leaving_the_last_allowed_team_ends_the_stay(
    made: MultiAuthenticator, github: GitHub
) -> None:
    github.teams = [("acme", "ml")]
    user = User(await sign_in(made, "github", account(1, "alice")))
    github.teams = []
    with pytest.raises(web.HTTPError, match="none of your groups"):
        await made.refresh_user(user)
    assert user.groups == []


@pytest.mark.parametrize("number", [None, "", True], ids=repr)
async def test_an_account_without_a_number_is_refused(
    made: MultiAuthenticator, github: GitHub, number: Any
) -> None:
    github.organizations = ["lab"]
    with pytest.raises(web.HTTPError, match="did not say who you are"):
        await sign_in(made, "github", {**account(1, "alice"), "id": number})


@pytest.mark.parametrize(
    "answer", [["x"], "no JSON", 17, {"id": 1, "login": ["alice"], "email": None}], ids=repr
)
async def test_an_answer_that_makes_no_sense_is_no_error_of_the_hub(
    made: MultiAuthenticator, github: GitHub, answer: Any
) -> None:
    made.methods["github"].http_client.hosts["api.github.com"][1] = ("/user", lambda _r: answer)
    with pytest.raises(web.HTTPError) as refused:
        await sign_in(made, "github", account(1, "alice"))
    assert refused.value.status_code in {403, 503}


async def test_who_signed_in_by_a_provider_that_is_gone_signs_in_again(
    made: MultiAuthenticator, github: GitHub
) -> None:
    github.organizations = ["lab"]
    user = User(await sign_in(made, "github", account(1, "alice")))
    user.auth_state = {**user.auth_state, "mlhub_method": "gone"}
    assert await made.refresh_user(user) is False
    user.auth_state = None
    assert await made.refresh_user(user) is False


async def test_while_github_is_silent_people_stay(made: MultiAuthenticator, github: GitHub) -> None:
    github.organizations = ["lab"]
    user = User(await sign_in(made, "github", account(1, "alice")))
    broken = ("/user", lambda _request: 502)
    made.methods["github"].http_client.hosts["api.github.com"][1] = broken
    assert await made.refresh_user(user) is True
    made.refreshes._grace = 0
    assert await made.refresh_user(user) is False


def test_a_team_counts_by_its_slug_in_any_case() -> None:
    team = {"slug": "ML", "organization": {"login": "ACME"}}
    assert groups_of([], [team], known=frozenset({"acme"})) == {"acme:ml"}


def test_enterprise_github_is_another_namespace(tmp_path: Path) -> None:
    section = SECTION | {"url": "https://git.acme.org/"}
    enterprise = authenticator(tmp_path, "github", section).methods["github"]
    assert enterprise.namespace == "https://git.acme.org"
    assert enterprise.token_url == "https://git.acme.org/login/oauth/access_token"
    assert enterprise.userdata_url == "https://git.acme.org/api/v3/user"
