"""The processes of the stack: how each is started and with which environment."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlhub.configuration import Settings
from mlhub.stack import secret_files
from mlhub.stack.home import Home
from mlhub.stack.leftovers import MARK
from mlhub.stack.wiring import LOOPBACK, Wiring

SERVICES = {"quota": secret_files.QUOTA_TOKEN, "mlflow": secret_files.MLFLOW_TOKEN}
DISPENSABLE = frozenset({"mlflow"})
"""Parts that keep nobody from the GPUs by not starting: the rest comes up without them."""
LEFT_OUT = (
    *("JUPYTERHUB_", "MLHUB_LEASE_ID", "MLHUB_API_URL"),  # of a server that this runs in
    "PYTHONDONTWRITEBYTECODE",  # each start would compile everything anew
)
HUB_CONFIG = Path(__file__).with_name("jupyterhub_config.py")


@dataclass(frozen=True, slots=True)
class Part:
    """One process to keep running.

    Attributes:
        name: What people and log files call it.
        command: The words of its command; never a secret.
        environment: Its whole environment.
        directory: Where it works.
        health: What it answers while it lives, without a credential; None if it is not asked.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    directory: Path
    health: str | None = None


def services_of(settings: Settings) -> list[str]:
    """Names the services that the settings ask for."""
    return [name for name in SERVICES if name != "mlflow" or settings.mlflow.enabled]


def all_parts(home: Home, wiring: Wiring) -> list[Part]:
    """Lists the processes in the order in which they start."""
    base = base_environment(home)
    services = [service_part(home, wiring, base, name=name) for name in wiring.service_ports]
    return [proxy_part(home, wiring, base), hub_part(home, wiring, base), *services]


def base_environment(home: Home) -> dict[str, str]:
    """The environment that every process of the stack shares."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(LEFT_OUT)}
    return kept | {
        MARK: str(home.path),
        "MLHUB_HOME": str(home.path),
        "MLHUB_CONFIG": str(home.config_file),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PYTHONUNBUFFERED": "1",
    }


def proxy_part(home: Home, wiring: Wiring, base: Mapping[str, str]) -> Part:
    """The proxy: the only part that people's browsers talk to."""
    hub = f"http://{LOOPBACK}:{wiring.hub_port}"
    command = [wiring.node, wiring.proxy]
    command += ["--ip", wiring.host, "--port", str(wiring.port)]
    command += ["--api-ip", LOOPBACK, "--api-port", str(wiring.proxy_api_port)]
    command += ["--default-target", hub, "--error-target", f"{hub}{wiring.base_url}hub/error"]
    token = secret_files.read(home.secrets, secret_files.PROXY_TOKEN)
    environment = dict(base) | {"CONFIGPROXY_AUTH_TOKEN": token}
    health = f"{wiring.origin}/_chp_healthz"
    return Part("proxy", tuple(command), environment, home.run, health)


def hub_part(home: Home, wiring: Wiring, base: Mapping[str, str]) -> Part:
    """The hub, with the configuration that ships with the stack."""
    command = (sys.executable, "-m", "jupyterhub", "-f", str(HUB_CONFIG))
    secrets = home.secrets
    environment = dict(base) | {
        "CONFIGPROXY_AUTH_TOKEN": secret_files.read(secrets, secret_files.PROXY_TOKEN),
        "JUPYTERHUB_CRYPT_KEY": secret_files.read(secrets, secret_files.CRYPT_KEY),
        "MLHUB_NODE": wiring.node,
        "MLHUB_CODE_SERVER": wiring.code_server,
    }
    health = f"http://{LOOPBACK}:{wiring.hub_port}{wiring.base_url}hub/health"
    return Part("hub", command, environment, home.hub, health)


def service_part(home: Home, wiring: Wiring, base: Mapping[str, str], *, name: str) -> Part:
    """A service, with the environment that the hub gives to the services it starts itself."""
    environment = dict(base) | {
        "JUPYTERHUB_API_TOKEN": secret_files.read(home.secrets, SERVICES[name]),
        "JUPYTERHUB_API_URL": wiring.hub_api,
        "JUPYTERHUB_BASE_URL": wiring.base_url,
        "JUPYTERHUB_CLIENT_ID": f"service-{name}",
        "JUPYTERHUB_HOST": "",
        "JUPYTERHUB_OAUTH_ACCESS_SCOPES": json.dumps([f"access:services!service={name}"]),
        "JUPYTERHUB_OAUTH_CLIENT_ALLOWED_SCOPES": "[]",
        "JUPYTERHUB_SERVICE_NAME": name,
        "JUPYTERHUB_SERVICE_PREFIX": f"{wiring.base_url}services/{name}/",
        "JUPYTERHUB_SERVICE_URL": f"http://{LOOPBACK}:{wiring.service_ports[name]}",
        "MLHUB_GPUS": wiring.gpus,
    }
    command = (sys.executable, "-m", f"hub_services.{name}")
    return Part(name, command, environment, home.run, f"{wiring.service_url(name)}healthz")
