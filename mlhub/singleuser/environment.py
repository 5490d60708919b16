"""What the spawner tells a user's server, in environment variables and arguments (pure)."""

import posixpath
import shlex
from collections.abc import Mapping

LEASE_ID = "MLHUB_LEASE_ID"
API_URL = "MLHUB_API_URL"
CODE_SERVER = "MLHUB_CODE_SERVER"
NODE = "MLHUB_NODE"
LOGDIR = "MLHUB_TENSORBOARD_LOGDIR"
GALLERY = "EXTENSIONS_GALLERY"
FOR_APPS = (CODE_SERVER, NODE, LOGDIR, GALLERY)
"""What the hub's own environment says about the apps, which servers have to know."""

EXTENSION = "mlhub.singleuser.extension"
MLFLOW_SERVICE = "mlflow"
MLFLOW_SCOPE = f"access:services!service={MLFLOW_SERVICE}"
"""Scope that a server's token (``Spawner.server_token_scopes``) and its owner's role both need."""


def mlflow_environment(*, hub_url: str, token: str) -> dict[str, str]:
    """Point MLflow's client at the team server, signed in as the owner of the token.

    Args:
        hub_url: where the hub's proxy answers the user's server, base path included,
            for example ``http://127.0.0.1:8000/`` or ``https://hub.example.org/jupyter/``.
        token: the server's own hub token (``Spawner.api_token``), holding ``MLFLOW_SCOPE``.

    Returns:
        Variables for ``Spawner.environment``; nothing else need be set in a notebook.

    Raises:
        ValueError: if the address or the token is empty.
    """
    if not hub_url or not token:
        raise ValueError("MLflow's client needs the hub's address and the server's token")
    return {
        "MLFLOW_TRACKING_URI": f"{hub_url.rstrip('/')}/services/{MLFLOW_SERVICE}",
        "MLFLOW_TRACKING_TOKEN": token,
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


def apps_environment(hub_environment: Mapping[str, str]) -> dict[str, str]:
    """The part of the hub's environment that a server's launcher tiles need."""
    return {name: hub_environment[name] for name in FOR_APPS if hub_environment.get(name)}


def lease_environment(*, lease_id: str, api_url: str) -> dict[str, str]:
    """Tell a server which lease it runs under and where its first use is reported.

    Args:
        lease_id: id of the lease, as the quota service answered it.
        api_url: the service's API root, for example ``http://…/services/quota/api/v1``.
    """
    return {LEASE_ID: lease_id, API_URL: api_url.rstrip("/")}


def server_arguments() -> list[str]:
    """Arguments that switch mlhub's Jupyter Server extension on; they are no secret.

    The spawner passes them, rather than a file of the installation, because an environment
    may hold mlhub without wanting it in every notebook server that runs there.
    """
    return [f"--ServerApp.jpserver_extensions={EXTENSION}=True"]


def terminal_arguments(shell: str) -> list[str]:
    """Arguments by which terminals keep the server's environment.

    A login shell, as the server would start it, takes ``PATH`` from the machine's profile, and
    with it the server's own Python and tools out of reach.

    Args:
        shell: of the server's owner.
    """
    return [f"--ServerApp.terminado_settings=shell_command={shlex.quote(shell or '/bin/sh')}"]


def mlflow_link(*, base_url: str, server_prefix: str) -> str:
    """Where the team's MLflow lies, relative to a user's server: JupyterLab only opens such links.

    Args:
        base_url: the hub's base path (``JUPYTERHUB_BASE_URL``), ``/`` by default.
        server_prefix: the server's path (``JUPYTERHUB_SERVICE_PREFIX``), ``/user/name/``.
    """
    target = posixpath.join(base_url or "/", "services", MLFLOW_SERVICE)
    return posixpath.relpath(target, server_prefix or "/") + "/"
