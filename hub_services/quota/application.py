"""The service's tornado application: every address, and how requests are logged."""

from __future__ import annotations

import logging
import re
from typing import Any, Final

from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from hub_services.quota.api import ApiRequest
from hub_services.quota.events import Events, Rhythm
from hub_services.quota.health import Health, MetricsPage, Ready
from hub_services.quota.look import Look
from hub_services.quota.openapi import document_route
from hub_services.quota.page import NotFoundPage, SignedIn
from hub_services.quota.pages import PAGES
from hub_services.quota.routes import Route
from hub_services.quota.service import Service
from hub_services.quota.table import EVENTS, ROUTES

log = logging.getLogger("hub_services.quota.access")
LARGEST_BODY: Final = 4 * 1024 * 1024  # bytes: what is larger is not even read past
BODY_SECONDS: Final = 30.0
UNSEEN: Final = re.compile(r"[^\x20-\x7e]")
Rule = tuple[str, type[RequestHandler], dict[str, Any]]


def application(service: Service, *, rhythm: Rhythm | None = None) -> Application:
    """The application of one service."""
    look = Look(service.hub_prefix, service.prefix)
    base = re.escape(service.prefix)
    rules: list[Rule] = [*_api(f"{base}api/v1", service), *_health(base, service)]
    rules += [
        (f"{base}{path}", page, {"service": service, "look": look})
        for path, page in (*PAGES, ("oauth_callback", SignedIn))
    ]
    return Application(
        rules,
        default_handler_class=NotFoundPage,
        default_handler_args={"service": service, "look": look},
        cookie_secret=service.cookie_secret,
        log_function=_log,
        largest_body=LARGEST_BODY,
        rhythm=rhythm or Rhythm(),
    )


def server(app: Application) -> HTTPServer:
    """A server for it, behind the hub's proxy."""
    return HTTPServer(
        app, xheaders=True, max_body_size=LARGEST_BODY, max_header_size=32 * 1024,
        body_timeout=BODY_SECONDS, idle_connection_timeout=300,
    )  # fmt: skip


def _api(base: str, service: Service) -> list[Rule]:
    routes = (*ROUTES, EVENTS)
    by_path: dict[str, dict[str, Route]] = {}
    for route in (*routes, document_route(routes)):
        by_path.setdefault(route.pattern, {})[route.method] = route
    rules: list[Rule] = [
        (f"{base}{pattern}", Events if EVENTS in methods.values() else ApiRequest,
         {"service": service, "routes": methods})
        for pattern, methods in by_path.items()
    ]  # fmt: skip
    return [*rules, (f"{base}(?:/.*)?", ApiRequest, {"service": service, "routes": {}})]


def _health(base: str, service: Service) -> list[Rule]:
    given = {"service": service}
    return [
        (f"{base}healthz", Health, given),
        (f"{base}readyz", Ready, given),
        (f"{base}metrics", MetricsPage, given),
    ]


def _log(handler: RequestHandler) -> None:
    """One line for each request: no query and no header, and no line break of a client's."""
    request, status = handler.request, handler.get_status()
    level = logging.WARNING if status >= 500 else logging.INFO
    if status < 400 and request.method == "GET":
        level = logging.DEBUG
    if log.isEnabledFor(level):
        who = getattr(getattr(handler, "who", None), "name", "-")
        path, asker = (UNSEEN.sub("?", text)[:200] for text in (request.path, who))
        took = 1000 * request.request_time()
        log.log(level, "%s %s %s %s %.1f ms", status, request.method, path, asker, took)
    if isinstance(handler, ApiRequest):
        method = request.method if request.method in handler.SUPPORTED_METHODS else "other"
        handler.service.metrics.requests.labels(method, handler.label(), str(status)).inc()
