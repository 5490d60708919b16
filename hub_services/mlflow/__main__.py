"""The service's process: listens where the hub says, runs MLflow beside it, ends both together."""

import asyncio
import logging
import os
import signal
import sys

import aiohttp
from jupyterhub.services.auth import HubOAuth, HubOAuthCallbackHandler
from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from hub_services.mlflow.health import Health
from hub_services.mlflow.proxy import Gate
from hub_services.mlflow.settings import Settings, SettingsError, cookie_secret, from_environment
from hub_services.mlflow.supervisor import Supervisor
from hub_services.mlflow.upstream import new_session

log = logging.getLogger("mlhub.mlflow")

ANY_SIZE = 2**62  # the proxy's own limits apply; tornado's would answer without a reason
ACCESS_SECONDS = 60  # how long the hub's word about a token holds: a revoked one ends within it
TEMPLATES = os.path.join(os.path.dirname(__file__), "templates")  # noqa: PTH118, PTH120


def application(settings: Settings, session: aiohttp.ClientSession) -> Application:
    """The service's routes: two of its own, MLflow is all the rest."""
    HubOAuth.instance(cache_max_age=ACCESS_SECONDS)
    shared = {"settings": settings, "session": session}
    return Application(
        [
            (f"{settings.prefix}healthz", Health),
            (f"{settings.prefix}oauth_callback", HubOAuthCallbackHandler),
            (r".*", Gate, shared),
        ],
        cookie_secret=cookie_secret(settings.state),
        template_path=TEMPLATES,
        log_function=log_request,
    )


def log_request(handler: RequestHandler) -> None:
    """One line per request: who, what, how it ended; no query, as it may hold a credential."""
    request = handler.request
    level = logging.INFO if handler.get_status() < 500 else logging.WARNING
    if isinstance(handler, Health):
        level = logging.DEBUG  # asked every few seconds
    user = getattr(handler, "user", "") or "-"
    took = 1000 * request.request_time()
    path = request.path[:200]
    log.log(level, "%d %s %s %s %.0f ms", handler.get_status(), request.method, path, user, took)


async def serve(settings: Settings) -> None:
    """Run until a signal says stop."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    supervisor = Supervisor(settings)
    async with new_session(settings.socket) as session:
        server = HTTPServer(application(settings, session), max_body_size=ANY_SIZE)
        server.listen(settings.port, settings.host)
        supervisor.start()
        log.info("MLflow's proxy listens on %s:%d", settings.host, settings.port)
        try:
            await stop.wait()
        finally:
            server.stop()
            await supervisor.stop()
            settings.socket.unlink(missing_ok=True)


def main() -> int:
    """Start from the environment that the hub gives a service; 78 (EX_CONFIG) if that is wrong."""
    logging.basicConfig(level=logging.INFO, format="%(levelname).1s %(name)s %(message)s")
    os.umask(0o077)
    try:
        settings = from_environment(os.environ)
        cookie_secret(settings.state)  # made now, for what is wrong with it to be said here
    except (SettingsError, OSError) as error:
        print(f"mlhub: MLflow cannot start: {error}", file=sys.stderr)
        return os.EX_CONFIG
    asyncio.run(serve(settings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
