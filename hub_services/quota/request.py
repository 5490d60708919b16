"""What every handler of the service is made from: who asks, and headers that hold everywhere."""

from __future__ import annotations

import json
import logging
import re
from datetime import datetime, timedelta
from typing import Any, Final

from jupyterhub.services.auth import HubOAuthenticated, UserNotAllowed
from tornado.web import HTTPError, RequestHandler

from hub_services.quota.identity import Identity, identity_of
from hub_services.quota.origins import SAFE_METHODS, foreign
from hub_services.quota.problems import (
    MEDIA_TYPE,
    Problem,
    foreseen,
    from_error,
    not_allowed,
)
from hub_services.quota.service import Service
from mlhub.core.errors import LedgerUnavailable, NotOwner

log = logging.getLogger(__name__)
ANYONE: Final = Identity("", "anyone")
MOST_BODY: Final = 64 * 1024  # bytes: the largest sensible request is a few hundred
_TICKET: Final = re.compile(r"ticket\s+(\S+)", re.IGNORECASE)
HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Server": "mlhub",
}


class Request(HubOAuthenticated, RequestHandler):
    """A request to the service."""

    service: Service
    who: Identity = ANYONE

    def initialize(self, service: Service) -> None:
        """Tornado's: what the application gives to each handler."""
        self.service = service
        self.hub_auth = service.sign_in
        self.current_user = None  # asked for asynchronously, by `identify`
        self.outsider = ""  # whom the hub knows, but who may not use this service

    def set_default_headers(self) -> None:
        """Tornado's: before anything else is set."""
        for name, value in HEADERS.items():
            self.set_header(name, value)

    def compute_etag(self) -> str | None:
        """Tornado's: no answer is kept, so none needs a mark to be told by."""
        return None

    async def identify(self) -> Identity | None:
        """Who asks, by a token, by the cookie of their sign-in, or None.

        Raises:
            Problem: they are known but may not use this service, or nobody can say who they are.
        """
        self.refuse_foreign()
        try:
            model = await self.hub_auth.get_user(self, sync=False)
            self.current_user = model and self.check_hub_user(model)
        except UserNotAllowed as error:
            self.outsider = str(error.model.get("name") or "")
            raise not_allowed("You may not use this service; ask its operator.") from error
        except HTTPError as error:
            text = "JupyterHub does not answer, so nobody can say who you are."
            raise Problem(503, "hub-unavailable", text, retry_after=5) from error
        if model is None:
            return None
        by_token = getattr(self, "_token_authenticated", False)
        return identity_of(model, by_cookie=not by_token)

    def ticket(self, now: datetime) -> tuple[Identity, datetime] | None:
        """Whose ticket comes with the request and until when it is good, if there is one.

        Raises:
            Problem: there is one that is not good (any more).
        """
        match = _TICKET.fullmatch(self.request.headers.get("Authorization", "").strip())
        if match is None:
            return None
        found = self.service.tickets.read(match[1], now)
        if found is None:
            text = "This page's ticket is over; load the page again."
            raise Problem(401, "ticket-over", text, headers={"WWW-Authenticate": "Ticket"})
        return found

    def refuse_foreign(self) -> None:
        """Refuse what a page of another site wants to be done.

        Raises:
            Problem: it does.
        """
        why = foreign(str(self.request.method), self.request.headers)
        if why:
            raise Problem(403, "cross-site", f"This request is refused: {why}.")

    async def note(self, what: str, error: Exception) -> None:
        """Remember in the audit what a refused request would have changed, and for whom.

        Args:
            what: the request in words of which there are few: no part of it that a client chose.
            error: why it was not carried out.
        """
        problem = foreseen(error)
        refused = problem is not None and problem.status < 500 and not problem.recorded
        if problem is None or not refused or self.request.method in SAFE_METHODS:
            return
        who = self.who.name if self.who is not ANYONE else self.outsider or await self._sender()
        if who:
            await self._record(who, f"{self.request.method} {what}", problem)

    async def _sender(self) -> str:
        """Whose credential came with a request that was not accepted; "" where nobody can say."""
        token, session = self.hub_auth.get_token(self), self.hub_auth.get_session_id(self)
        if not token:
            return ""
        try:
            model = await self.hub_auth.user_for_token(token, session_id=session, sync=False)
        except HTTPError:
            return ""
        return str(model["name"]) if model else ""

    async def _record(self, who: str, subject: str, problem: Problem) -> None:
        try:
            await self.service.broker.refused(who, subject, problem.detail, kind=problem.kind)
        except (LedgerUnavailable, NotOwner) as error:
            log.warning("%s of %s was refused: %s (%s)", subject, who, problem, error)

    def has_cookie(self) -> bool:
        """Whether the request comes with the cookie of a sign-in, good or not."""
        return self.get_cookie(self.hub_auth.cookie_name) is not None

    def log_exception(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: Any
    ) -> None:
        """Tornado's: counts what it means; `problems` logs what is unforeseen, once."""
        if isinstance(error, NotOwner):
            self.service.vitals.fenced.set()
        if isinstance(error, LedgerUnavailable):
            self.service.metrics.store_errors.inc()


class ProgramRequest(Request):
    """A request by a program: every error is a problem (RFC 9457)."""

    def methods(self) -> list[str]:
        """The methods that this address takes."""
        return ["GET"]

    def unknown(self) -> Problem:
        """The answer to somebody who cannot be told from anyone."""
        if self.has_cookie():
            text = "The page's X-XSRFToken is missing or too old, or you signed out: load it again."
            return Problem(403, "stale-page", text)
        text = "Send a JupyterHub API token: `Authorization: Bearer …`."
        return Problem(401, "no-credential", text, headers={"WWW-Authenticate": "Bearer"})

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Tornado's: every error as problem details."""
        error = kwargs["exc_info"][1] if "exc_info" in kwargs else HTTPError(status_code)
        problem = from_error(error)
        self.set_status(problem.status)
        body = problem.body(self.request.path)
        if problem.retry_after is not None:
            self.set_header("Retry-After", str(problem.retry_after))
            later = self.service.now() + timedelta(seconds=problem.retry_after)
            body.setdefault("retry_at", later.isoformat())
        for name, value in problem.headers.items():
            self.set_header(name, value)
        if problem.status == 405:
            self.set_header("Allow", ", ".join(self.methods()))
        self.set_header("Content-Type", MEDIA_TYPE)
        self.finish(json.dumps(body))
