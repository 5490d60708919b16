"""JupyterHub's REST API as the broker uses it: hub 6.1 and 5.5."""

from __future__ import annotations

import json
import re
from typing import Any, Final
from urllib.parse import quote

import aiohttp

from mlhub.broker.ports import HubUser, ServerState
from mlhub.core.errors import HubRefused, HubUnavailable

QUICK: Final = 10.0  # seconds for a question
SLOW: Final = 60.0  # seconds for a start or a stop: the hub itself answers within about ten
WRAPPED_SINCE: Final = 6  # the hub's major version that takes options in a field of their own
TEXT_SHOWN: Final = 500
# What the hub says with a 403 when the user may well have it, but has to sign in again, or when
# it is the service's own token that may not ask.
NOT_BARRED: Final = re.compile(r"login again|with current scopes|invalid credentials")
UNDER_WAY: Final = re.compile(r"is already running|is pending spawn")
Answer = tuple[int, Any]


class HubApi:
    """A HubPort over HTTP, with a service's token.

    Args:
        url: the API's address, such as ``http://127.0.0.1:8081/hub/api``.
        token: with the scopes list:users, read:users:groups, read:users:name, read:servers,
            start:servers and delete:servers (hub 5.5: servers).
    """

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"token {token}"}
        self._session: aiohttp.ClientSession | None = None
        self._major: int | None = None

    async def user(self, name: str) -> HubUser | None:
        """The user, or None when there is none (any more)."""
        status, body = await self._call("GET", _user(name), QUICK)
        if status == 404:
            return None
        _refuse_unless(status == 200, status, body)
        groups = tuple(str(group) for group in _member(body, "groups", list))
        return HubUser(_member(body, "name", str), bool(body.get("admin")), groups)

    async def start(self, user: str, server: str, options: str) -> None:
        """Ask for a server to be started with these user options (JSON text).

        On hub 5.5 a sign-in that has gone stale is answered with a refusal, since the hub wants
        the user to sign in again first.
        """
        wanted = json.loads(options)
        body = {"user_options": wanted} if await self._wraps_options() else wanted
        status, answer = await self._call("POST", _server(user, server), SLOW, body)
        if status == 404:
            raise HubRefused(f"JupyterHub has no user '{user[:60]}'")
        if status not in {201, 202}:
            raise _start_refused(status, answer)

    async def stop(self, user: str, server: str) -> None:
        """Ask for a server to be stopped; one that does not run is no error."""
        status, body = await self._call("DELETE", _server(user, server), SLOW)
        gone = status == 404 or (status == 400 and "not running" in _text(body))
        _refuse_unless(gone or status in {202, 204}, status, body)

    async def state(self, user: str, server: str) -> ServerState:
        """What the hub says of that server."""
        status, body = await self._call("GET", _user(user), QUICK)
        if status == 404:
            return ServerState.ABSENT
        _refuse_unless(status == 200, status, body)
        row = _member(body, "servers", dict).get(server)
        return _state(row) if isinstance(row, dict) else ServerState.ABSENT

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _wraps_options(self) -> bool:
        """Whether this hub takes user options in a field of their own (6.0) or bare (5.5)."""
        if self._major is None:
            status, body = await self._call("GET", "", QUICK)
            _refuse_unless(status == 200, status, body)
            digits = re.match(r"\d+", _member(body, "version", str))
            self._major = int(digits[0]) if digits else WRAPPED_SINCE
        return self._major >= WRAPPED_SINCE

    async def _call(
        self, method: str, path: str, seconds: float, body: object | None = None
    ) -> Answer:
        session = self._connected()
        limit = aiohttp.ClientTimeout(total=seconds)
        url = f"{self._url}/{path}"
        try:
            async with session.request(
                method, url, json=body, timeout=limit, allow_redirects=False
            ) as answer:
                status, text = answer.status, await answer.text(errors="replace")
        except (TimeoutError, aiohttp.ClientError) as error:
            self._major = None  # whatever answers next may be another version
            what = str(error) or type(error).__name__
            raise HubUnavailable(f"JupyterHub does not answer: {what}") from error
        if status == 429 or status >= 500:
            raise HubUnavailable(f"JupyterHub answered {status}: {_text(_parsed(text))}")
        return status, _parsed(text)

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(headers=self._headers)
        return self._session


def _user(name: str) -> str:
    return f"users/{quote(name, safe='')}"


def _server(user: str, server: str) -> str:
    path = f"servers/{quote(server, safe='')}" if server else "server"
    return f"{_user(user)}/{path}"


def _state(row: dict[str, Any]) -> ServerState:
    pending = row.get("pending")
    if pending == "stop":
        return ServerState.STOPPING
    if pending:
        return ServerState.STARTING
    return ServerState.READY if row.get("ready") else ServerState.ABSENT


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _text(body: Any) -> str:
    """What the hub said, in one short line."""
    said = (body.get("message") or "") if isinstance(body, dict) else body
    return " ".join(str(said).split())[:TEXT_SHOWN]


def _refuse_unless(fine: bool, status: int, body: Any) -> None:
    if not fine:
        raise HubRefused(_text(body) or f"JupyterHub answered {status}")


def _start_refused(status: int, body: Any) -> HubRefused:
    text = _text(body) or f"JupyterHub answered {status}"
    barred = status == 403 and not NOT_BARRED.search(text)
    under_way = status == 409 or (status == 400 and bool(UNDER_WAY.search(text)))
    return HubRefused(text, barred=barred, under_way=under_way)


def _member(body: Any, name: str, kind: type[Any]) -> Any:
    value = body.get(name) if isinstance(body, dict) else None
    if not isinstance(value, kind):
        raise HubUnavailable(f"JupyterHub answered without {name}: the token lacks a scope for it")
    return value
