"""From the settings to the hub's configuration: what the machine allows, and what is missing."""

import importlib.util
import os
from pathlib import Path
from typing import Any

from mlhub.authentication_settings import AuthenticationSettings, LocalPasswordSettings, PamSettings
from mlhub.authenticator.local_password import is_loopback, make_password_file, read_password
from mlhub.authenticator.names import UnusableLogin, user_name
from mlhub.authenticator.plan import Plan
from mlhub.authenticator.rules import NAME_LISTS, HouseRules
from mlhub.authenticator.secrets_kept import kept_key, read_secret
from mlhub.core.errors import BadInput
from mlhub.provider_settings import GoogleSettings, SecretReference

AUTHENTICATOR = "mlhub.authenticator.multi.MultiAuthenticator"
TEMPLATES = Path(__file__).parent / "templates"
CRYPT_KEY = "auth-state-key"
CRYPT_KEY_ENV = "JUPYTERHUB_CRYPT_KEY"


def make_plan(
    settings: AuthenticationSettings,
    *,
    public_host: str,
    as_root: bool,
    person: str | None,
    state_dir: Path,
) -> Plan:
    """Checks how people are to sign in, without any part of the hub.

    A local password that is missing is made.

    Args:
        settings: The `authentication:` section. Without any method, a hub without root offers the
            local password to `person`, and one with root offers PAM to `person`.
        public_host: The address that the hub's proxy listens on.
        as_root: Whether each user's server runs as an OS user of its own.
        person: Without root: the only user name there is. With root: who called it by sudo.
        state_dir: A private directory that lasts.

    Returns:
        What was made of it; `password_file` tells where the local password is.

    Raises:
        BadInput: a setting contradicts another or the machine; it says which, and what to do.
    """
    settings = with_default_method(settings, as_root=as_root, person=person)
    house = HouseRules(
        person=person,
        as_root=as_root,
        os_users=settings.os_users,
        system_accounts=settings.allowed_system_accounts,
    )
    plan = Plan(settings, house, state_dir)
    _check_machine(plan, public_host)
    _check_secrets(plan)
    _check_names(plan)
    return plan


def with_default_method(
    settings: AuthenticationSettings, *, as_root: bool, person: str | None
) -> AuthenticationSettings:
    """Adds the one person's own method where the settings name none.

    Raises:
        BadInput: there is no person to offer it to.
    """
    if settings.providers or settings.pam or settings.local_password:
        return settings
    if person is None:
        raise BadInput(
            "authentication",
            "nobody could sign in: no method is set",
            "add `providers`, `pam` or `local_password`",
        )
    if not as_root:
        return settings.model_copy(update={"local_password": LocalPasswordSettings()})
    pam = PamSettings(admin_users=frozenset({person}))
    return settings.model_copy(update={"pam": pam})


def _check_machine(plan: Plan, public_host: str) -> None:
    settings, house = plan.settings, plan.house
    if settings.pam is not None and not house.as_root:
        raise BadInput("authentication.pam", "it needs a hub that runs as root", "use another")
    if settings.os_users != "mapped" and not house.as_root:
        raise BadInput(
            "authentication.os_users",
            f"'{settings.os_users}' needs a hub that runs as root: without root nobody gets an "
            "OS account of their own",
            "remove it, or start the hub with root",
        )
    if settings.local_password is not None:
        _check_local_password(plan, public_host)


def _check_local_password(plan: Plan, public_host: str) -> None:
    setting = "authentication.local_password"
    if not is_loopback(public_host):
        raise BadInput(
            setting,
            f"the hub listens on {public_host or 'every address'}, and a single shared secret is "
            "too weak a door for a network",
            "listen on 127.0.0.1, or set up `providers` or `pam`",
        )
    if not plan.house.person:
        raise BadInput(setting, "nobody is named to have it", "start the hub as that person")
    make_password_file(plan.password_file)
    read_password(plan.password_file)


def _check_secrets(plan: Plan) -> None:
    for name, provider in plan.settings.providers.items():
        setting = f"authentication.providers.{name}.client_secret"
        if read_secret(provider.client_secret, setting) == provider.client_id:
            raise BadInput(setting, "it is the same as client_id", "use the provider's secret")
        if isinstance(provider, GoogleSettings):
            _check_directory(provider, f"authentication.providers.{name}.directory")
    plan.identity_url()


def _check_names(plan: Plan) -> None:
    for name, provider in plan.settings.providers.items():
        for key in NAME_LISTS:
            for person in sorted(getattr(provider, key)):
                _check_name(person, f"authentication.providers.{name}.{key}")


def _check_name(person: str, setting: str) -> None:
    try:
        user_name(person)
    except UnusableLogin as problem:
        raise BadInput(setting, f"{person!r}: {problem}", "correct the name") from problem


def _check_directory(provider: GoogleSettings, setting: str) -> None:
    if provider.directory and not _has_google_auth():
        raise BadInput(setting, "it needs google-auth", "install it: pip install 'mlhub[google]'")
    for domain, directory in provider.directory.items():
        read_secret(SecretReference(file=directory.service_account_file), f"{setting}.{domain}")


def _has_google_auth() -> bool:
    try:
        return importlib.util.find_spec("google.auth") is not None
    except ModuleNotFoundError:  # not even the `google` that it is a part of
        return False


def configure_authentication(c: Any, plan: Plan) -> None:
    """Sets up the hub's sign-in by a plan; makes the key that is missing.

    Args:
        c: The configuration, as `jupyterhub_config.py` has it.
        plan: What `make_plan` found to be good.
    """
    settings = plan.settings
    c.JupyterHub.authenticator_class = AUTHENTICATOR
    c.JupyterHub.template_paths.insert(0, str(TEMPLATES))
    c.MultiAuthenticator.plan = plan
    c.MultiAuthenticator.any_allow_config = True  # the rules are each method's own
    c.MultiAuthenticator.manage_groups = settings.groups_managed
    c.MultiAuthenticator.auth_refresh_age = settings.refresh_seconds
    c.MultiAuthenticator.refresh_pre_spawn = True
    c.MultiAuthenticator.enable_auth_state = True
    if CRYPT_KEY_ENV not in os.environ:
        c.CryptKeeper.keys = [kept_key(plan.state_dir / CRYPT_KEY)]
