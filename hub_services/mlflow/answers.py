"""What a client gets: MLflow's answer as it streams in, or an explanation of ours."""

import asyncio
import json
import logging
import re
from pathlib import Path
from typing import Any

import aiohttp
from tornado.iostream import StreamClosedError

from hub_services.mlflow import paths
from hub_services.mlflow.access import Admission
from hub_services.mlflow.settings import Settings
from hub_services.mlflow.upstream import passed_back

log = logging.getLogger("mlhub.mlflow")

CHUNK = 256 * 2**10
PAGE_SCRIPT = "/mlhub/page.js"
STATIC = Path(__file__).parent / "static"
HEAD = re.compile(rb"<head[^>]*>", re.IGNORECASE)
CONTENT_POLICY = "frame-ancestors 'none'"
USERS_CONTENT_POLICY = "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'"
TITLES = {
    401: "Please sign in",
    403: "This is not for you",
    413: "Too large",
    503: "MLflow is not there yet",
}


class Answers(Admission):
    """The half of a request that goes back to the client."""

    settings_of_service: Settings
    path = ""

    def set_default_headers(self) -> None:
        """Headers of every answer, those of errors included."""
        self.clear_header("Server")
        self.set_header("Content-Security-Policy", CONTENT_POLICY)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("X-Accel-Buffering", "no")  # a front proxy must not hold large artifacts

    def compute_etag(self) -> str | None:
        """None: MLflow tags its own files."""
        return None

    async def relay(self, answer: aiohttp.ClientResponse) -> None:
        """Pass an answer on at the client's pace; one chunk is in memory at a time."""
        self.set_status(answer.status, answer.reason)
        self.clear_header("Content-Type")
        for name, value in passed_back(answer.headers.items(), self.settings_of_service.prefix):
            self.set_header(name, value)
        if paths.is_users_content(self.path):
            self.set_header("Content-Security-Policy", USERS_CONTENT_POLICY)
        if paths.is_page(self.path) and answer.status == 200:
            self._page(await answer.read())
            return
        async for chunk in answer.content.iter_chunked(CHUNK):
            self.write(chunk)
            await self.flush()
        await self.finish()

    def _page(self, content: bytes) -> None:
        """MLflow's page with our script first, and the XSRF cookie that the script reads."""
        for name in ("Content-Length", "ETag", "Last-Modified"):
            self.clear_header(name)
        self.set_header("Cache-Control", "no-store")
        _ = self.xsrf_token  # reading it sets the cookie
        tag = f'<script src="{self.settings_of_service.prefix}mlhub/page.js"></script>'.encode()
        self.finish(HEAD.sub(lambda head: head[0] + tag, content, count=1))

    def page_script(self) -> None:
        """Our script for MLflow's page."""
        self.set_header("Content-Type", "text/javascript; charset=utf-8")
        self.finish((STATIC / "page.js").read_bytes())

    def explain(self, status: int, code: str, message: str, *, again: int = 0) -> None:
        """Say what happened, as a page to a person and as MLflow's kind of error to a client.

        Args:
            status: HTTP status.
            code: MLflow's word for the error.
            message: what happened and what to do.
            again: seconds after which to try again; 0 for never.
        """
        if self._finished or self._headers_written:
            return
        self.set_status(status)
        if again:
            self.set_header("Retry-After", str(again))
        if status == 401:
            self.set_header("WWW-Authenticate", 'Bearer realm="hub"')
        if self.is_navigation():
            self._notice(TITLES.get(status, "That did not work"), message, again)
        else:
            self.set_header("Content-Type", "application/json")
            self.finish(json.dumps({"error_code": code, "message": message}))

    def _notice(self, title: str, message: str, again: int) -> None:
        home = f"{self.hub_auth.hub_host}{self.hub_auth.hub_prefix}home"
        self.render("notice.html", title=title, message=message, again=again, home=home)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """What tornado itself refuses, in the same form; no traceback leaves the service."""
        message = "The request is not one that this service understands."
        if status_code >= 500:
            message = "Something went wrong here; the service's log tells what."
        self.explain(
            status_code, "INTERNAL_ERROR" if status_code >= 500 else "BAD_REQUEST", message
        )

    def broken_off(self, error: BaseException) -> None:
        """MLflow ended in the middle: an error if nothing was sent yet, else a cut connection."""
        if isinstance(error, StreamClosedError | asyncio.CancelledError):
            return
        log.warning("MLflow broke off at %s %s: %r", self.request.method, self.path[:200], error)
        if self._headers_written:
            self.request.connection.close()  # type: ignore[union-attr]
            return
        self.explain(502, "INTERNAL_ERROR", "MLflow broke off while it answered. Try again.")
