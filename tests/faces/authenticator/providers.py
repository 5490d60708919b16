"""GitHub and Google as oauthenticator's own test tools play them; no request leaves the process."""

from pathlib import Path
from typing import Any

from oauthenticator.tests.mocks import MockAsyncHTTPClient

from mlhub.authentication_settings import AuthenticationSettings
from mlhub.authenticator.multi import MultiAuthenticator
from mlhub.authenticator.plan import Plan
from mlhub.authenticator.rules import HouseRules


def authenticator(state: Path, name: str, section: dict[str, Any]) -> MultiAuthenticator:
    """A hub's authenticator with one provider, whose HTTP client is the mock."""
    secret = state / "client-secret"
    secret.write_text("0123456789abcdef0123456789abcdef")
    secret.chmod(0o600)
    provider = {"client_id": "mlhub", "client_secret": {"file": str(secret)}, **section}
    settings = AuthenticationSettings.model_validate({"providers": {name: provider}})
    plan = Plan(settings, HouseRules(), state)
    made = MultiAuthenticator(plan=plan, manage_groups=settings.groups_managed)
    made.methods[name].http_client = MockAsyncHTTPClient()
    return made


async def sign_in(made: MultiAuthenticator, name: str, person: dict[str, Any]) -> dict[str, Any]:
    """Sign in as whom the provider describes; gives the hub's model of them."""
    provider = made.methods[name]
    handler = provider.http_client.handler_for_user(person)
    handler.sign_in_provider = provider
    handler.settings = {}
    model = await made.get_authenticated_user(handler, None)
    assert model is not None
    return model


class User:
    """A signed-in user, as far as a refresh asks."""

    def __init__(self, model: dict[str, Any]) -> None:
        self.name = model["name"]
        self.auth_state = model["auth_state"]
        self.groups = model.get("groups", [])

    async def get_auth_state(self) -> Any:
        return self.auth_state

    def sync_groups(self, names: list[str]) -> None:
        self.groups = names
