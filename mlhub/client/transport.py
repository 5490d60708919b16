"""One request until there is an answer: time-outs, and repeats with a back-off."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from mlhub.client.errors import AskedTooOften, ServiceUnavailable

log = logging.getLogger(__name__)
FIRST_PAUSE: Final = 0.1  # seconds; doubled with each try, and a random part of it is waited
LONGEST_PAUSE: Final = 5.0
TOO_MANY: Final = 429
API: Final = "/api/v1"
JSON_TYPES: Final = ("application/json", "application/problem+json")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an answer is waited for.

    Attributes:
        deadline_s: seconds for all tries together.
        try_s: seconds for one try.
    """

    deadline_s: float = 30.0
    try_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked; each may be repeated, a claim because of its idempotency key.

    Attributes:
        vital: it asks how the service is: outside its API, and whatever it answers counts.
    """

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    query: Mapping[str, str] | None = None
    key: str = ""
    vital: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that the service itself gave: JSON, or nothing.

    Attributes:
        wait_s: how long the service asks to be left alone, in seconds.
    """

    status: int
    content: Any
    wait_s: float = 0.0

    @property
    def final(self) -> bool:
        """Whether asking again would be answered the same: a decision, not a failure."""
        decided = isinstance(self.content, dict) and self.content.get("state") == "denied"
        return decided or (self.status < 500 and self.status != TOO_MANY)


class Unusable(Exception):
    """What came is no answer of the service; a later try may get one."""


class Transport:
    """Asks one service, as often as it takes within the deadline. Tokens are never logged.

    Attributes:
        url: the service's address, without its API's path.
    """

    def __init__(
        self, url: str, *, credential: Callable[[], str], patience: Patience | None = None
    ) -> None:
        self.url = url
        self._credential = credential
        self._patience = patience or Patience()
        self._session: aiohttp.ClientSession | None = None
        self._dice = random.SystemRandom()

    async def close(self) -> None:
        """Give up the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def ask(self, request: Request) -> Answer:
        """The service's answer, be it a refusal.

        Raises:
            ServiceUnavailable: none came within the deadline.
            AskedTooOften: the last one was that it is asked too often.
        """
        end = time.monotonic() + self._patience.deadline_s
        tries = 0
        while True:
            tries += 1
            answer: Answer | None = None
            try:
                answer = await self._once(request, end - time.monotonic())
                if answer.final or request.vital:
                    return answer
                why = _failure_text(answer)
            except (aiohttp.ClientError, OSError, TimeoutError, Unusable) as error:
                why = _words_for(error)
            pause = max(answer.wait_s if answer else 0.0, self._pause(tries))
            if time.monotonic() + pause >= end:
                if answer is not None and answer.status == TOO_MANY:
                    raise AskedTooOften(self.url, _words_of(answer), tries, wait_s=answer.wait_s)
                raise ServiceUnavailable(self.url, why, tries)
            log.debug("%s %s: %s; again in %.1f s", request.method, request.path, why, pause)
            await asyncio.sleep(pause)

    def _pause(self, tries: int) -> float:
        """Seconds to wait: a random part of a bound that doubles, so that callers spread out."""
        return self._dice.uniform(0, min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(tries, 16)))

    async def _once(self, request: Request, left_s: float) -> Answer:
        headers = {"Authorization": f"Bearer {self._credential()}", "Accept": "application/json"}
        if request.key:
            headers["Idempotency-Key"] = request.key
        limit = aiohttp.ClientTimeout(total=max(0.001, min(left_s, self._patience.try_s)))
        async with self._open().request(
            request.method, self._address(request), json=request.body, params=request.query,
            headers=headers, timeout=limit, allow_redirects=False,
        ) as response:  # fmt: skip
            return _answer_of(response, await response.read())

    def _address(self, request: Request) -> str:
        return self.url + ("" if request.vital else API) + request.path

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        return self._session


def _answer_of(response: aiohttp.ClientResponse, raw: bytes) -> Answer:
    if response.status == 204 or (not raw and response.status < 300):
        return Answer(response.status, None)
    if response.content_type not in JSON_TYPES:
        raise Unusable(f"something else answers there ({response.status}, no JSON)")
    try:
        content = json.loads(raw)
    except ValueError as error:
        raise Unusable("its answer came mutilated") from error
    return Answer(response.status, content, _seconds(response.headers.get("Retry-After", "")))


def _seconds(text: str) -> float:
    return min(float(text), 3600.0) if text.isascii() and text.isdigit() else 0.0


def _failure_text(answer: Answer) -> str:
    words = _words_of(answer)
    return f"it answered {answer.status}" + (f": {words}" if words else "")


def _words_of(answer: Answer) -> str:
    content = answer.content if isinstance(answer.content, dict) else {}
    return str(content.get("detail") or content.get("title") or "")[:200]


def _words_for(error: Exception) -> str:
    if isinstance(error, Unusable):
        return str(error)
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"no connection ({error.strerror or 'refused'})"
    if isinstance(error, aiohttp.InvalidURL):
        return "this is no address"
    return "the connection broke"
