"""The quota service in the test's own process: its API for real, the world behind it in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import aiohttp

from hub_services.quota.application import application, server
from hub_services.quota.events import Rhythm
from hub_services.quota.service import Service
from hub_services.quota.sign_in import HubSignIn
from hub_services.quota.tickets import Tickets, derived
from mlhub.adapters.notify import EventBus
from mlhub.core.leases import Lease
from mlhub.core.lifecycle import Observation, Presence
from tests.broker.world import World
from tests.services.quota.hub import PREFIX, Hub


async def until(look: Callable[[], object], *, seconds: float = 10) -> None:
    """Look again and again until something is so."""
    pause = asyncio.Event()
    async with asyncio.timeout(seconds):
        while not look():
            with suppress(TimeoutError):
                await asyncio.wait_for(pause.wait(), 0.02)


@dataclass(frozen=True)
class Answer:
    """What the service said."""

    status: int
    body: Any
    headers: Mapping[str, str]


class Processes:
    """Processes that exist because a test says so."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def holder_of(self, pid: int) -> Observation:
        if pid == 404:
            return Observation(Presence.GONE)
        clock = self.world.clock
        return Observation(Presence.THERE, f"{clock.boot()}/{pid}", age=timedelta(0))

    async def contradiction(self, pid: int, lease: Lease) -> str:
        return f"process 13 is not {lease.ask.user}'s" if pid == 13 else ""


class Desk:
    """A running service, and the credentials to ask it with."""

    def __init__(self, world: World, service: Service, port: int, tokens: dict[str, str]) -> None:
        self.world = world
        self.service = service
        self.port = port
        self.url = f"http://127.0.0.1:{port}{PREFIX}"
        self.tokens = tokens
        self.session = aiohttp.ClientSession()
        self._keys = 0

    def key(self) -> str:
        self._keys += 1
        return f"test-key-{self._keys:06d}"

    def credential(self, who: str) -> dict[str, str]:
        token = self.tokens.get(who, who)
        return {"Authorization": f"Bearer {token}"} if token else {}

    async def ask(
        self, method: str, path: str, *, who: str = "nobody", headers: Any = None, **more: Any
    ) -> Answer:
        """One request to the API (or, with a leading slash, to any of the service's addresses)."""
        url = self.url + (path[1:] if path.startswith("/") else f"api/v1/{path}")
        given = {**self.credential(who), **(headers or {})}
        async with self.session.request(
            method, url, headers=given, allow_redirects=False, **more
        ) as answer:
            text = await answer.text()
            is_json = "json" in answer.headers.get("Content-Type", "")
            body = await answer.json(content_type=None) if is_json else text
            return Answer(answer.status, body, answer.headers)

    async def claim(self, who: str = "ada", *, key: str = "", **body: Any) -> Answer:
        """A claim for one A100, unless said otherwise."""
        wanted = {"flavor": "a100", **body}
        headers = {"Idempotency-Key": key or self.key()}
        return await self.ask("POST", "claims", who=who, headers=headers, json=wanted)

    async def lease(self, who: str = "ada", **body: Any) -> dict[str, Any]:
        """A lease that was granted."""
        answer = await self.claim(who, **body)
        assert answer.status == 201, answer.body
        return answer.body["lease"]

    async def clear(self) -> None:
        """End all that lives."""
        ledger = await self.world.ledger()
        for claim in ledger.waiting():
            await self.world.broker.cancel(claim.id, by="test")
        for lease in ledger.leases.values():
            self.world.hub.servers.clear()
            await self.world.broker.release(lease.id, by="test")
        await self.world.tick()

    async def inventory(self, who: str = "bob") -> dict[str, Any]:
        """The A100 as somebody sees them."""
        return (await self.ask("GET", "inventory", who=who)).body["flavors"][0]

    def set_policy(self, **rules: Any) -> None:
        """Other rules from now on."""
        broker = self.world.broker
        broker.policy = broker.outlook.policy = replace(broker.policy, **rules)

    @staticmethod
    def span(lease: dict[str, Any]) -> timedelta:
        """How long a lease lasts as it was granted."""
        ends, granted = (datetime.fromisoformat(lease[key]) for key in ("ends_at", "granted_at"))
        return ends - granted

    def path(self, rest: str) -> str:
        return f"{PREFIX}api/v1/{rest}"

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A bare connection, for what no client would send."""
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def audit(self) -> list[dict[str, Any]]:
        answer = await self.ask("GET", "audit", who="the operator")
        return answer.body["items"]


@asynccontextmanager
async def open_desk(
    hub: Hub, tokens: dict[str, str], *, rhythm: Rhythm | None = None, **rules: Any
) -> AsyncIterator[Desk]:
    world = World(**rules)
    bus = EventBus()
    world.told = bus
    await world.open()
    service = service_of(world, bus, hub)
    http = server(application(service, rhythm=rhythm))
    http.listen(0, "127.0.0.1")
    port = next(iter(http._sockets.values())).getsockname()[1]
    desk = Desk(world, service, port, tokens)
    try:
        yield desk
    finally:
        service.closing.set()
        bus.wake_all()
        await desk.session.close()
        http.stop()
        await http.close_all_connections()


def service_of(world: World, bus: EventBus, hub: Hub) -> Service:
    token = hub.tokens["quota"]
    sign_in = HubSignIn(
        api_url=hub.api_url, api_token=token, base_url=PREFIX, hub_prefix="/hub/",
        oauth_client_id="service-quota", access_scopes={"access:services!service=quota"},
    )  # fmt: skip
    service = Service(
        broker=world.broker, history=world.store, bus=bus, sign_in=sign_in,
        tickets=Tickets(derived(token, "tickets")), prefix=PREFIX, hub_prefix="/hub/",
        cookie_secret=derived(token, "cookies"), pids=Processes(world),
    )  # fmt: skip
    service.vitals.owner = True
    return service
