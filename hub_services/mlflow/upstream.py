"""Talks to MLflow's server over its socket: headers sent on and passed back, bodies in passing."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
from multidict import CIMultiDict

SENT_ON = {
    *("accept", "accept-encoding", "accept-language", "content-type", "content-encoding"),
    *("range", "if-range", "if-none-match", "if-modified-since", "user-agent"),
    *("x-mlflow-experiment-id", "x-mlflow-run-id", "x-mlflow-workspace"),
}
"""Request headers that MLflow needs; credentials and names a client claims are not among them."""

KEPT_BACK = {
    *("connection", "keep-alive", "proxy-authenticate", "te", "trailer", "transfer-encoding"),
    *("upgrade", "server", "date", "set-cookie", "x-frame-options", "content-security-policy"),
}
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 600.0  # a search over a large experiment on a busy machine may take minutes
IDLE_SECONDS = 30.0


def new_session(socket: Path) -> aiohttp.ClientSession:
    """A client of the socket; it must be made inside the event loop, and closed."""
    timeout = aiohttp.ClientTimeout(
        total=None, sock_connect=CONNECT_SECONDS, sock_read=ANSWER_SECONDS
    )
    return aiohttp.ClientSession(
        connector=aiohttp.UnixConnector(str(socket), keepalive_timeout=IDLE_SECONDS, limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        timeout=timeout,
    )


def sent_on(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """The headers of a request that go to MLflow."""
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() in SENT_ON)


def passed_back(headers: Iterable[tuple[str, str]], prefix: str) -> list[tuple[str, str]]:
    """The headers of an answer that go to the client, with redirects kept below the prefix."""
    return [
        (name, _below(value, prefix) if name.lower() == "location" else value)
        for name, value in headers
        if name.lower() not in KEPT_BACK
    ]


def _below(location: str, prefix: str) -> str:
    path = location.removeprefix("http://localhost")
    return prefix.rstrip("/") + path if path.startswith("/") else path


class Upload:
    """A request's body in passing: one chunk waits at a time, so the sender is slowed down."""

    def __init__(self, *, patience: float = ANSWER_SECONDS) -> None:
        """Wait at most ``patience`` seconds for MLflow to take a chunk."""
        self._patience = patience
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue(maxsize=1)

    async def put(self, chunk: bytes | None, until: asyncio.Future[Any]) -> None:
        """Hand over a chunk, or None at the end; gives up when ``until`` is done.

        If nobody takes the chunk within the patience, ``until`` is cancelled.
        """
        if until.done():
            return
        putting = asyncio.ensure_future(self._chunks.put(chunk))
        done, _ = await asyncio.wait(
            [putting, until], timeout=self._patience, return_when=asyncio.FIRST_COMPLETED
        )
        putting.cancel()
        if not done:
            until.cancel()

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes in."""
        while (chunk := await self._chunks.get()) is not None:
            yield chunk
