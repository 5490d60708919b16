"""Where the hub's services are and by which token the spawner asks them, from the hub's config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from traitlets.config import LazyConfigValue

QUOTA: Final = "quota"
MLFLOW: Final = "mlflow"
ACTOR: Final = "mlhub-spawner"
"""The name of the hub's service, without a process, that acts for users."""
EVERYWHERE: Final = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - to be told apart
API: Final = "api/v1"
DEFAULT_ADDRESS: Final = "http://127.0.0.1:8000/"


def services(config: Any) -> list[Mapping[str, Any]]:
    """The hub's services, as configured."""
    found = config.JupyterHub.get("services", [])
    if isinstance(found, LazyConfigValue):
        found = found.get_value([])
    return [row for row in found if isinstance(row, Mapping)]


def service(config: Any, name: str) -> Mapping[str, Any]:
    """One of them; empty when there is none of that name."""
    return next((row for row in services(config) if row.get("name") == name), {})


def service_url(config: Any, name: str, *, base_url: str) -> str:
    """Where a service's API answers the hub, past the proxy; "" when it has no address."""
    address = str(service(config, name).get("url") or "")
    return f"{address.rstrip('/')}{base_url}services/{name}/{API}" if address else ""


def service_token(config: Any, name: str) -> str:
    """A service's token; "" when it has none."""
    return str(service(config, name).get("api_token") or "")


def base_path(config: Any) -> str:
    """The path before everything, with a slash at both ends."""
    named = config.JupyterHub.get("base_url")
    path = str(named if named else _address(config).path).strip("/")
    return f"/{path}/" if path else "/"


def proxy_url(config: Any) -> str:
    """Where the hub's proxy answers programs on this machine, base path included."""
    parts = _address(config)
    host = parts.hostname or ""
    host = "127.0.0.1" if host in EVERYWHERE else host
    shown = f"[{host}]" if ":" in host else host
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{shown}{port}{base_path(config)}"


def _address(config: Any) -> Any:
    return urlsplit(str(config.JupyterHub.get("bind_url") or DEFAULT_ADDRESS))
