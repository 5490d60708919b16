"""From the plan to the sign-in methods and the doors they lead to."""

from collections.abc import Mapping
from typing import Any, Protocol

from traitlets.config import Configurable

from mlhub.authenticator.bindings import Ground
from mlhub.authenticator.doorkeeper import Door
from mlhub.authenticator.github import GitHubMethod
from mlhub.authenticator.google import GoogleMethod
from mlhub.authenticator.local_password import LocalPasswordMethod
from mlhub.authenticator.names import user_name
from mlhub.authenticator.oauth_method import OAuthMethod
from mlhub.authenticator.oidc import OidcMethod
from mlhub.authenticator.pam import NAMESPACE as OS_NAMESPACE
from mlhub.authenticator.pam import PamMethod
from mlhub.authenticator.plan import Plan
from mlhub.authenticator.rules import by_user_name
from mlhub.authenticator.secrets_kept import read_secret
from mlhub.authenticator.visitors import Visitor
from mlhub.provider_settings import AccessSettings

PROVIDERS: Mapping[str, type[OAuthMethod]] = {
    "github": GitHubMethod,
    "google": GoogleMethod,
    "oidc": OidcMethod,
}


class Method(Protocol):
    """One way to find out who somebody is."""

    method: str

    async def identify(self, handler: Any, data: Any) -> Visitor:
        """Finds out who came."""

    async def look_again(self, user: Any, handler: Any) -> Visitor | None:
        """Finds out again who is signed in; None: they must sign in again."""


def methods_of(plan: Plan, parent: Configurable) -> dict[str, Method]:
    """Makes the methods, in the order of the page.

    Raises:
        BadInput: a secret is missing or no secret.
    """
    methods: dict[str, Method] = {
        name: _provider(name, settings, parent)
        for name, settings in plan.settings.providers.items()
    }
    return methods | _form(plan, parent)


def _provider(name: str, settings: Any, parent: Configurable) -> OAuthMethod:
    setting = f"authentication.providers.{name}.client_secret"
    more = {"http_request_kwargs": {"ca_certs": str(settings.ca_file)}} if settings.ca_file else {}
    return PROVIDERS[settings.type](
        parent=parent,
        method=name,
        settings=settings,
        client_id=settings.client_id,
        client_secret=read_secret(settings.client_secret, setting),
        oauth_callback_url=settings.callback_url or "",
        enable_auth_state=True,
        **more,
    )


def _form(plan: Plan, parent: Configurable) -> dict[str, Method]:
    if plan.settings.pam is not None:
        pam = PamMethod(parent=parent, settings=plan.settings.pam, house=plan.house)
        return {pam.method: pam}
    if plan.settings.local_password is not None:
        local = LocalPasswordMethod(
            parent=parent,
            settings=plan.settings.local_password,
            person=plan.house.person or "",
            house=plan.house,
            password_file=plan.password_file,
        )
        return {local.method: local}
    return {}


def doors_of(plan: Plan, methods: Mapping[str, Method]) -> dict[str, Door]:
    """Makes the door of each method; `make_plan` has seen that every name in a rule is one."""
    allies = frozenset({OS_NAMESPACE} if plan.house.os_users == "existing" else ())
    doors = {}
    for name, method in methods.items():
        if isinstance(method, OAuthMethod):
            doors[name] = _provider_door(method, allies)
        elif isinstance(method, PamMethod):
            doors[name] = Door(method.settings, own_ground=Ground.NAMED)
        else:
            doors[name] = _local_door(plan)
    return doors


def _provider_door(method: OAuthMethod, allies: frozenset[str]) -> Door:
    settings = method.settings

    def rule(name: str) -> str:
        return user_name(method.user_name_rule(name))

    names = {method.user_name_rule(login): user for login, user in settings.names.items()}
    access = by_user_name(settings, rule)
    return Door(access, accounts=settings.accounts, names=names, allies=allies)


def _local_door(plan: Plan) -> Door:
    person = plan.house.person or ""
    access = AccessSettings(admin_users=frozenset({person}))
    return Door(access, accounts={person: person})
