"""Connects the hub to the rest of the stack: its ports, its services, its one person or all."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from jupyterhub.services.service import Service

from mlhub.stack import secret_files
from mlhub.stack.home import Home
from mlhub.stack.leftovers import MARK
from mlhub.stack.parts import SERVICES
from mlhub.stack.wiring import LOOPBACK, Wiring, load

PATIENCE_S = {"mlflow": 1}
"""Seconds in which a service should answer while the hub starts; the hub's own default is 30.

The hub routes to no service before each has answered or had its time: an MLflow that cannot start
must not keep people from their GPUs.
"""
PROGRAMS = {
    "stack": (secret_files.STACK_TOKEN, ["proxy", "shutdown"]),
    "operator": (
        secret_files.OPERATOR_TOKEN,
        ["access:services!service=quota", "custom:mlhub:operate"],
    ),
}
"""Who speaks to the hub without being a process of the stack, by which secret, with what rights.

`stack` is `mlhub up` itself; `operator` is the command line of whoever may read the home.
"""


def wire(c: Any, home: Home, wiring: Wiring) -> None:
    """Sets everything about the hub that follows from how the stack was started.

    Args:
        c: JupyterHub's configuration object.
        home: The stack's home.
        wiring: Who listens where.
    """
    c.JupyterHub.bind_url = wiring.url
    c.JupyterHub.hub_bind_url = f"http://{LOOPBACK}:{wiring.hub_port}"
    c.JupyterHub.db_url = f"sqlite:///{home.hub / 'jupyterhub.sqlite'}"
    c.JupyterHub.upgrade_db = True
    c.JupyterHub.cookie_secret_file = str(home.secrets / secret_files.COOKIE_SECRET)
    c.JupyterHub.cleanup_servers = False  # people's servers outlive a restart of the hub
    c.JupyterHub.cleanup_proxy = False
    c.ConfigurableHTTPProxy.should_start = False
    c.ConfigurableHTTPProxy.api_url = f"http://{LOOPBACK}:{wiring.proxy_api_port}"
    c.Spawner.environment.update({MARK: str(home.path)})
    wire_services(c, home, wiring)


def wire_services(c: Any, home: Home, wiring: Wiring) -> None:
    """Makes the services known to the hub, and gives each no more rights than it uses."""
    services = [hub_service(home, wiring, name) for name in wiring.service_ports]
    c.JupyterHub.services.extend(services)
    for name, (secret, scopes) in PROGRAMS.items():
        token = secret_files.read(home.secrets, secret)
        c.JupyterHub.services.append({"name": name, "api_token": token})
        role = {"name": name, "services": [name], "scopes": scopes}
        c.JupyterHub.load_roles.append(role)


def hub_service(home: Home, wiring: Wiring, name: str) -> dict[str, Any]:
    """Describes a service that runs beside the hub and not below it."""
    patient = name in PATIENCE_S and Service.class_traits().get("timeout")  # JupyterHub 6 has it
    return {
        "name": name,
        "url": f"http://{LOOPBACK}:{wiring.service_ports[name]}",
        "api_token": secret_files.read(home.secrets, SERVICES[name]),
        "oauth_client_id": f"service-{name}",
        "oauth_no_confirm": True,
        **({"timeout": PATIENCE_S[name]} if patient else {}),
    }


def from_environment() -> tuple[Home, Wiring]:
    """Finds the stack that this hub belongs to, by `MLHUB_HOME`."""
    home = Home(Path(os.environ["MLHUB_HOME"]))
    wiring = load(home)
    if wiring is None:
        sys.exit(f"{home.run} names no running stack: start it with `mlhub up`")
    return home, wiring
