"""The quota service's process: from its environment to a service that runs."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from hub_services.quota.logs import write_to_stderr
from hub_services.quota.pace import Pace
from hub_services.quota.process import live
from hub_services.quota.service import Service
from hub_services.quota.sign_in import HubSignIn
from hub_services.quota.tickets import Tickets, derived
from mlhub.adapters.hub import HubApi
from mlhub.bootstrap import build
from mlhub.configuration import ConfigurationError, load
from mlhub.configuration.profiles import DEFAULT_PROFILES
from mlhub.core.errors import BadInput

NEEDED = (
    "MLHUB_HOME",
    "JUPYTERHUB_API_TOKEN",
    "JUPYTERHUB_API_URL",
    "JUPYTERHUB_SERVICE_PREFIX",
    "JUPYTERHUB_SERVICE_URL",
)


def service_from(environ: Mapping[str, str]) -> Service:
    """The service that this environment describes, as the hub gives it to its services.

    Raises:
        BadInput: something in it is missing.
        ConfigurationError: mlhub.yaml is wrong.
    """
    for name in NEEDED:
        if not environ.get(name):
            raise BadInput(name, "it is not set", "start the service by `mlhub up` or by the hub")
    token, base = environ["JUPYTERHUB_API_TOKEN"], environ.get("JUPYTERHUB_BASE_URL", "/")
    settings = load(environ=environ)
    built = build(
        settings, home=Path(environ["MLHUB_HOME"]), hub_token=token,
        hub_url=environ["JUPYTERHUB_API_URL"], gpus=environ.get("MLHUB_GPUS", ""),
    )  # fmt: skip
    hub, pace = built.broker.hub, Pace(built.requests.burst, built.requests.per_second)
    return Service(
        broker=built.broker, history=built.store, bus=built.bus, sign_in=HubSignIn(),
        tickets=Tickets(derived(token, "tickets")), prefix=environ["JUPYTERHUB_SERVICE_PREFIX"],
        hub_prefix=f"{base}hub/", cookie_secret=derived(token, "cookies"), pids=built.pids,
        pace=pace,
        usage=built.inventory, profiles=settings.profiles or DEFAULT_PROFILES,
        closers=(hub.close,) if isinstance(hub, HubApi) else (),
    )  # fmt: skip


def main() -> int:
    """Run it; 78 (EX_CONFIG) where its configuration is wrong."""
    write_to_stderr(os.environ.get("MLHUB_LOG", "INFO"))
    os.umask(0o077)
    try:
        service = service_from(os.environ)
    except (BadInput, ConfigurationError) as error:
        print(f"mlhub: the quota service cannot start: {error}", file=sys.stderr)
        return os.EX_CONFIG
    return asyncio.run(live(service, os.environ["JUPYTERHUB_SERVICE_URL"]))


if __name__ == "__main__":
    sys.exit(main())
