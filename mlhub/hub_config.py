"""What mlhub adds to a hub's configuration: three lines in any `jupyterhub_config.py`."""

from __future__ import annotations

from typing import Any


def configure(c: Any, settings: str) -> None:
    """Sets up mlhub in a hub.

    Args:
        c: JupyterHub's configuration object.
        settings: The path of `mlhub.yaml`.
    """
    c.JupyterHub.spawner_class = "jupyterhub.spawner.LocalProcessSpawner"
    c.JupyterHub.allow_named_servers = True
