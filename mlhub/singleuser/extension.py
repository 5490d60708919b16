"""mlhub's Jupyter Server extension: seeds the home, reports the first request, asks of no news.

The spawner switches it on (``environment.server_arguments``) and passes ``MLHUB_LEASE_ID`` and
``MLHUB_API_URL``; without a lease (a CPU server) there is nothing to report.
"""

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from tornado.web import RequestHandler

from mlhub.singleuser import seed
from mlhub.singleuser.environment import API_URL, EXTENSION, LEASE_ID
from mlhub.singleuser.first_use import FirstUse, Identity, post_used
from mlhub.singleuser.lab import without_news


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": EXTENSION}]


def _load_jupyter_server_extension(serverapp: Any) -> None:
    """Put the examples into a new home; a home that cannot be written never stops the server."""
    try:
        seeded = seed.seed_home(Path.home())
    except (OSError, seed.SeedError) as error:
        serverapp.log.warning("The example notebooks were not put into this home: %s", error)
    else:
        if seeded:
            serverapp.log.info("Put %d example files into %s", len(seeded), seed.FOLDER)


async def _start_jupyter_server_extension(serverapp: Any) -> None:
    """Begin to watch; done at the start, when no extension replaces what is set here any more."""
    without_news(serverapp.web_app.settings)
    first_use = from_environment(os.environ)
    if first_use is not None:
        watch(serverapp.web_app.settings, first_use)


def from_environment(environment: Mapping[str, str]) -> FirstUse | None:
    """The report that this server's environment asks for, or None where it has no lease."""
    needed = (LEASE_ID, API_URL, "JUPYTERHUB_API_TOKEN", "JUPYTERHUB_USER")
    if not all(environment.get(name) for name in needed):
        return None
    lease_id, api_url, token, owner = (environment[name] for name in needed)
    return FirstUse(Identity(owner, token), partial(post_used, api_url, lease_id, token))


def watch(settings: dict[str, Any], first_use: FirstUse) -> None:
    """Look at every request that tornado completes, proxied apps and websockets included."""
    logged: Callable[[RequestHandler], None] = settings["log_function"]

    def log_and_observe(handler: RequestHandler) -> None:
        logged(handler)
        first_use.observe(handler)

    settings["log_function"] = log_and_observe
