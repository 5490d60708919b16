"""What mlhub adds to a hub's configuration: three lines in any `jupyterhub_config.py`."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from jupyterhub.app import JupyterHub
from traitlets.config import LazyConfigValue

from mlhub import private_files
from mlhub.configuration import Settings, load
from mlhub.configuration.profiles import DEFAULT_PROFILES
from mlhub.core.errors import BadInput
from mlhub.core.quantities import format_duration, parse_duration
from mlhub.spawner.banner import simulated
from mlhub.spawner.wiring import ACTOR, MLFLOW, QUOTA

TEMPLATES: Final = Path(__file__).parent / "spawner" / "templates" / "hub"
SPAWNER: Final = "mlhub.spawner.local.LocalGPUSpawner"
ADDRESSES: Final = {QUOTA: "http://127.0.0.1:10101", MLFLOW: "http://127.0.0.1:10102"}
ACT: Final = "custom:mlhub:act-for-users"
OPERATE: Final = "custom:mlhub:operate"
SCOPES: Final = {
    ACT: {"description": "Claim GPUs for any user, name who holds them, show what is free"},
    OPERATE: {"description": "See every GPU, lease and queue, and give anyone's GPU back"},
}
HUB_HAS_USER_SCOPES: Final = "extra_user_scopes" in JupyterHub.class_trait_names()
START: Final = "start:servers" if HUB_HAS_USER_SCOPES else "servers"
QUOTA_SCOPES: Final = (
    "list:users", "read:users:groups", "read:users:name", "read:servers", START, "delete:servers",
)  # fmt: skip
SHORTEST_TOKEN: Final = 16
DURATIONS: Final = ("1h", "2h", "4h", "8h", "12h", "24h", "72h")


def configure(
    c: Any,
    path: str | Path,
    *,
    spawner_class: str | type = SPAWNER,
    run_services: bool = False,
    addresses: Mapping[str, str] = ADDRESSES,
) -> None:
    """Sets up mlhub in a hub: its spawner, its form and pages, its services' rights.

    Call it before what you set yourself, so that your own lines have the last word.

    Args:
        c: JupyterHub's configuration object.
        path: of `mlhub.yaml`. The ledger and the spawner's token are kept beside it, unless
            `MLHUB_HOME` names another directory.
        spawner_class: another spawner with `GPULeaseMixin`.
        run_services: True to let the hub itself run mlhub's services; otherwise they have to be
            among `c.JupyterHub.services`, under the names `quota` and `mlflow`.
        addresses: where these services listen when the hub runs them.

    Raises:
        ConfigurationError: there is something wrong in `mlhub.yaml`; it says all of it.
        BadInput: the spawner's token cannot be made, or is empty or open to other OS users.
    """
    settings = load(path)
    home = Path(os.environ.get("MLHUB_HOME") or Path(path).expanduser().absolute().parent)
    names = [QUOTA, MLFLOW] if settings.mlflow.enabled else [QUOTA]
    services = _list(c.JupyterHub, "services")
    services.append({"name": ACTOR, "api_token": _token(home / "secrets" / "spawner-token")})
    if run_services:
        services.extend(
            _service(name, addresses[name], path=Path(path), home=home) for name in names
        )
    if settings.hub.public_url:
        c.JupyterHub.public_url = settings.hub.public_url.rstrip("/") + settings.hub.prefix
    _set_pages(c)
    _set_spawner(c, settings, spawner_class)
    _set_rights(c, [f"access:services!service={name}" for name in names])


def _service(name: str, address: str, *, path: Path, home: Path) -> dict[str, Any]:
    """A service that the hub starts, and starts again."""
    return {
        "name": name,
        "url": address,
        "command": [sys.executable, "-m", f"hub_services.{name}"],
        "environment": {
            "MLHUB_CONFIG": str(path.expanduser().absolute()),
            "MLHUB_HOME": str(home),
        },
        "cwd": str(home),
        "oauth_no_confirm": True,
    }


def _set_pages(c: Any) -> None:
    _list(c.JupyterHub, "template_paths").append(str(TEMPLATES))
    variables = _dict(c.JupyterHub, "template_vars")
    c.JupyterHub.template_vars = {**variables, "mlhub_simulated": partial(simulated, c)}


def _set_spawner(c: Any, settings: Settings, spawner_class: str | type) -> None:
    c.JupyterHub.spawner_class = spawner_class
    c.JupyterHub.allow_named_servers = True
    if "allowed_system_accounts" not in c.LocalGPUSpawner:
        allowed = settings.authentication.allowed_system_accounts
        c.LocalGPUSpawner.allowed_system_accounts = sorted(allowed)
    c.GPULeaseMixin.profile_list = [dict(row) for row in settings.profiles or DEFAULT_PROFILES]
    c.GPULeaseMixin.flavors = [
        {"name": row.name, "display_name": row.display_name, "resource": row.resource_name,
         "selector": dict(row.selector), "description": row.description,
         "max_count": row.max_count}
        for row in settings.flavors
    ]  # fmt: skip
    c.GPULeaseMixin.durations = durations_up_to(longest_allowed(settings))
    c.GPULeaseMixin.usual_duration = f"{format_duration(settings.times.duration)} (usual)"


def longest_allowed(settings: Settings) -> timedelta | None:
    """The longest duration that anybody may ask for; None when somebody has no bound."""
    policy = settings.policy()
    limits = [policy.everyone, *policy.users.values(), *policy.members.values()]
    bounds = [limit.duration for limit in limits if limit.duration is not None]
    return max(bounds) if len(bounds) == len(limits) else None


def durations_up_to(longest: timedelta | None) -> list[str]:
    """What the form offers, the longest that is allowed included."""
    if longest is None:
        return list(DURATIONS)
    shorter = [text for text in DURATIONS if parse_duration(text) < longest]
    return [*shorter, f"{round(longest.total_seconds())}s"]


def _set_rights(c: Any, access: list[str]) -> None:
    """What users, their servers, the quota service and the spawner's credential may do."""
    c.JupyterHub.custom_scopes = {**_dict(c.JupyterHub, "custom_scopes"), **SCOPES}
    roles = _list(c.JupyterHub, "load_roles")
    roles.append({"name": QUOTA, "services": [QUOTA], "scopes": list(QUOTA_SCOPES)})
    roles.append({"name": ACTOR, "services": [ACTOR], "scopes": [access[0], ACT]})
    if HUB_HAS_USER_SCOPES:
        c.JupyterHub.extra_user_scopes = set(access)
    elif not any(role.get("name") == "user" for role in roles):
        roles.append({"name": "user", "scopes": ["self", *access]})
    c.Spawner.server_token_scopes = ["users:activity!user", "access:servers!server", *access]
    c.Spawner.oauth_client_allowed_scopes = ["access:servers!server", *access]


def _token(path: Path) -> str:
    """The spawner's token from its file; one is made where there is none."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        return private_files.kept(path, lambda: secrets.token_hex(32), shortest=SHORTEST_TOKEN)
    except private_files.Unusable as error:
        raise BadInput("the spawner's token", error.problem, error.remedy) from error


def _list(section: Any, name: str) -> list[Any]:
    """A list of the configuration, to append to; what was set before is kept."""
    found = section.get(name, [])
    section[name] = found.get_value([]) if isinstance(found, LazyConfigValue) else found
    kept: list[Any] = section[name]
    return kept


def _dict(section: Any, name: str) -> dict[str, Any]:
    found = section.get(name, {})
    return dict(found.get_value({}) if isinstance(found, LazyConfigValue) else found)
