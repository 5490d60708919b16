"""GitHub: people by their number, organisations and teams as groups."""

from collections.abc import Mapping
from typing import Any

from oauthenticator.github import GitHubOAuthenticator
from traitlets import default

from mlhub.authenticator.oauth_method import OAuthMethod


class GitHubMethod(OAuthMethod, GitHubOAuthenticator):
    """Sign-in with GitHub or GitHub Enterprise.

    Memberships are asked with the visitor's own token, never by login: who renamed their account
    would otherwise be judged by whoever has the old login now.
    """

    @default("github_url")
    def _github_url_of_settings(self) -> str:
        return self.settings.url.rstrip("/")

    @default("scope")
    def _scope_of_settings(self) -> list[str]:
        return ["read:org"] if self.settings.organizations else []

    @property
    def namespace(self) -> str:
        """The GitHub instance."""
        return self.github_url

    def subject_of(self, facts: Mapping[str, Any]) -> object:
        """Reads the account's number."""
        return facts.get("id")

    def login_of(self, facts: Mapping[str, Any]) -> object:
        """Reads the login."""
        return facts.get("login")

    def groups_in(self, tokens: Mapping[str, Any]) -> object:
        """Names the organisations of the settings and their teams that the visitor is in."""
        return groups_of(
            tokens.get("organizations") or (),
            tokens.get("teams") or (),
            known=frozenset(name.lower() for name in self.settings.organizations),
        )

    async def update_auth_model(self, auth_model: dict[str, Any]) -> dict[str, Any]:
        """Fetches the visitor's organisations and teams, if the settings name any."""
        tokens = auth_model["auth_state"]
        if self.settings.organizations:
            answer = tokens["token_response"]
            for key, path in (("organizations", "orgs"), ("teams", "teams")):
                tokens[key] = await self._paginated_fetch(
                    f"{self.github_api}/user/{path}?per_page=100",
                    answer["access_token"],
                    answer["token_type"],
                )
        return auth_model


def groups_of(organizations: Any, teams: Any, *, known: frozenset[str]) -> frozenset[str]:
    """Names groups: `organisation`, and `organisation:team` by the team's slug. Pure.

    Args:
        organizations: What GitHub lists as the visitor's organisations.
        teams: What GitHub lists as the visitor's teams.
        known: The organisations that count, in lower case.
    """
    own = {str(organization["login"]).lower() for organization in organizations}
    pairs = {(str(team["organization"]["login"]).lower(), str(team["slug"])) for team in teams}
    own_teams = {
        f"{organization}:{slug}".lower() for organization, slug in pairs if organization in known
    }
    return frozenset((own & known) | own_teams)
