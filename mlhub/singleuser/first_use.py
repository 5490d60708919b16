"""Tells the quota service, once, that a server's owner came: whose request counts, the report."""

import asyncio
import hmac
import itertools
import json
import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any
from urllib.parse import quote

from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from tornado.web import RequestHandler

log = logging.getLogger("mlhub.singleuser")

LEASE_IS_GONE = {404, 409, 410}
FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 30.0
REQUEST_SECONDS = 10.0


class Answer(Enum):
    """What came of one attempt to report."""

    ACKNOWLEDGED = auto()
    LEASE_GONE = auto()
    AGAIN = auto()


@dataclass(frozen=True, slots=True)
class Identity:
    """Who owns this server and which token is the server's own."""

    owner: str
    own_token: str

    def made(self, handler: RequestHandler) -> bool:
        """Whether the owner, as a person, made this completed request with success.

        The hub's checks are anonymous; kernels, terminals and the server itself use the
        server's own token; an administrator who looks in is another user.
        """
        user = getattr(handler, "_jupyter_current_user", None)
        model = getattr(user, "hub_user", None) or {}
        if model.get("kind", "user") != "user" or model.get("name") != self.owner:
            return False
        return handler.get_status() < 400 and not self._is_own(token_of(handler))

    def _is_own(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(), self.own_token.encode())


def token_of(handler: RequestHandler) -> str:
    """The hub token that a request was authenticated by, from header or cookie."""
    hub_auth = handler.settings["identity_provider"].hub_auth
    return str(hub_auth.get_token(handler) or "")


def waits() -> Iterator[float]:
    """Seconds between attempts: doubling up to half a minute, then without end."""
    for attempt in itertools.count():
        yield min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** min(attempt, 10))


async def post_used(api_url: str, lease_id: str, token: str) -> Answer:
    """Report one lease as used; every failure to reach the service is an answer, none is raised.

    Args:
        api_url: the service's API root.
        lease_id: id of this server's lease.
        token: the server's own hub token; sent to ``api_url`` alone, no redirect is followed.
    """
    request = HTTPRequest(
        f"{api_url}/leases/{quote(lease_id, safe='')}/used",
        method="POST",
        headers={"Authorization": f"token {token}", "Content-Type": "application/json"},
        body=json.dumps({}),
        follow_redirects=False,
        request_timeout=REQUEST_SECONDS,
    )
    try:
        response = await AsyncHTTPClient().fetch(request, raise_error=False)
    except (HTTPClientError, OSError, ValueError) as error:
        log.debug("First use was not reported: %s", error)
        return Answer.AGAIN
    return reading(response.code)


def reading(status: int) -> Answer:
    """What an HTTP status means for the report."""
    if 200 <= status < 300:
        return Answer.ACKNOWLEDGED
    return Answer.LEASE_GONE if status in LEASE_IS_GONE else Answer.AGAIN


class FirstUse:
    """Watches completed requests until the owner's first one, then reports until acknowledged.

    Args:
        identity: tells the owner's requests from others.
        post: one attempt to report.
        sleep: how to wait between attempts.
    """

    def __init__(
        self,
        identity: Identity,
        post: Callable[[], Awaitable[Answer]],
        *,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        self._identity = identity
        self._post = post
        self._sleep = sleep
        self.report: asyncio.Task[Answer] | None = None

    def observe(self, handler: RequestHandler) -> None:
        """Look at one completed request; never waits, never raises."""
        if self.report is not None:
            return
        try:
            made = self._identity.made(handler)
        except Exception:
            log.exception("A request could not be read for the report of first use")
            return
        if made:
            self.report = asyncio.get_running_loop().create_task(self._deliver())

    async def _deliver(self) -> Answer:
        for wait in waits():
            answer = await self._post()
            if answer is not Answer.AGAIN:
                break
            await self._sleep(wait)
        log.info("First use of the lease: %s", answer.name.lower().replace("_", " "))
        return answer
