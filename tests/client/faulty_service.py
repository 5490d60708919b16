"""A quota service over real HTTP that keeps claims by key, and fails as it is told to."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Fault = Callable[["FaultyService", web.Request], Awaitable[web.StreamResponse]]
LEASE = {
    "id": "lease-1", "claim_id": "claim-1", "user": "ada", "server": "", "kind": "server",
    "flavor": "a100", "count": 1, "node": "here", "devices": ["GPU-1"], "memory_mib": 81920,
    "status": "held", "target": "active", "from_queue": False,
    "granted_at": "2026-11-21T09:00:00+00:00", "start_by": "2026-11-21T09:05:00+00:00",
    "started_at": None, "used_at": None, "window_closes_at": None,
    "ends_at": "2026-11-21T17:00:00+00:00", "expected_end": "2026-11-21T17:00:00+00:00",
    "warned_at": None, "ended_at": None, "reason": None, "why": "", "by": "", "waiting": 0,
    "simulated": True, "an_attribute_of_next_year": 1,
}  # fmt: skip


@dataclass
class FaultyService:
    """What it was asked, what it decided, and the faults that the next requests meet."""

    faults: deque[Fault] = field(default_factory=deque)
    asked: list[tuple[str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    claims: dict[str, dict[str, Any]] = field(default_factory=dict)
    answers: dict[tuple[str, str], tuple[int, Any]] = field(default_factory=dict)
    url: str = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.method, request.path_qs))
        self.headers.append(dict(request.headers))
        raw = await request.read()
        self.bodies.append(json.loads(raw) if raw else None)
        if self.faults:
            return await self.faults.popleft()(self, request)
        return self.decide(request)

    def decide(self, request: web.Request) -> web.Response:
        """The right answer, which is the same for the same key."""
        path = request.path.split("/api/v1", 1)[1]
        if (request.method, path) == ("POST", "/claims"):
            key = request.headers["Idempotency-Key"]
            answer = {"state": "granted", "claim": f"claim-{len(self.claims) + 1}", "lease": LEASE,
                      "reason": "granted", "message": "Yours."}  # fmt: skip
            return web.json_response(self.claims.setdefault(key, answer), status=201)
        status, content = self.answers.get((request.method, path), (404, {"title": "Not found"}))
        if status == 204:
            return web.Response(status=204)
        kind = "application/json" if status < 400 else "application/problem+json"
        return web.json_response(content, status=status, content_type=kind)


async def lost_answer(service: FaultyService, request: web.Request) -> web.StreamResponse:
    """It is decided, and nobody hears of it."""
    service.decide(request)
    return _cut(request)


async def never_heard(service: FaultyService, request: web.Request) -> web.StreamResponse:
    """The connection breaks before anything is decided."""
    return _cut(request)


async def cut_in_the_middle(service: FaultyService, request: web.Request) -> web.StreamResponse:
    """Half of the answer comes."""
    whole = service.decide(request).body
    assert isinstance(whole, bytes)
    response = web.StreamResponse(headers={"Content-Length": str(len(whole))})
    response.content_type = "application/json"
    await response.prepare(request)
    await response.write(whole[: len(whole) // 2])
    return _cut(request)


async def mutilated(service: FaultyService, request: web.Request) -> web.StreamResponse:
    """All of an answer that is not JSON, and says that it is."""
    return web.Response(text='{"state": "gran', content_type="application/json")


async def never_answers(service: FaultyService, request: web.Request) -> web.StreamResponse:
    """Silence until the asker has gone."""
    service.decide(request)
    await asyncio.Event().wait()
    return web.Response()


def status(code: int, **headers: str) -> Fault:
    """A failure that the service itself reports."""

    async def fail(service: FaultyService, request: web.Request) -> web.StreamResponse:
        text = json.dumps({"title": "The ledger is away", "status": code})
        kind = "application/problem+json"
        return web.Response(text=text, status=code, content_type=kind, headers=headers)

    return fail


def page(code: int, **headers: str) -> Fault:
    """What a proxy says in its place: HTML."""

    async def show(service: FaultyService, request: web.Request) -> web.StreamResponse:
        text = "<html>Service Unavailable</html>"
        return web.Response(text=text, status=code, content_type="text/html", headers=headers)

    return show


def _cut(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


@asynccontextmanager
async def faulty_service(*faults: Fault) -> AsyncIterator[FaultyService]:
    """Runs one on a free port."""
    service = FaultyService(deque(faults))
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", service.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    service.url = f"http://{host}:{port}/services/quota"
    try:
        yield service
    finally:
        await runner.cleanup()
