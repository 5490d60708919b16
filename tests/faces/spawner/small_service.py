"""A small quota service in a thread: real HTTP, a ledger in memory, and faults on demand.

It speaks the part of the API that the spawner and the picker use, so that a lost answer, a silent
service or a lease that is over can be made to happen at an exact moment.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, Finish, RequestHandler

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
PREFIX = "/services/quota/api/v1"


@dataclass
class SmallFlavor:
    name: str
    display_name: str
    total: int
    memory_mib: int = 81920
    price: float = 0.0
    allowed: bool = True
    why_not: str = ""
    out_of_service: int = 0
    kept: int = 0
    waiting: int = 0


@dataclass
class SmallService:
    """What it knows, what it was asked, and how it is to fail."""

    flavors: list[SmallFlavor] = field(default_factory=list)
    token: str = "small-token-of-tests"
    simulated: bool = False
    limits: dict[str, Any] = field(default_factory=dict)
    claims: dict[str, dict[str, Any]] = field(default_factory=dict)
    leases: dict[str, dict[str, Any]] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    faults: list[tuple[str, str, str]] = field(default_factory=list)
    """(method, what the path begins with, fault): `lose` the answer, `hang`, `fail` with 500, or
    `refuse` to take more for a minute."""
    holder_is_over: bool = False
    tickets: Iterator[int] = field(default_factory=lambda: count(1))
    good_tickets: set[str] = field(default_factory=set)
    port: int = 0
    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    listeners: set[Events] = field(default_factory=set)
    loop: asyncio.AbstractEventLoop | None = None
    server: HTTPServer | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def live(self) -> list[dict[str, Any]]:
        return [lease for lease in self.leases.values() if lease["status"] != "ended"]

    def flavor(self, name: str) -> SmallFlavor | None:
        return next((row for row in self.flavors if row.name == name), None)

    def free(self, flavor: SmallFlavor) -> int:
        held = sum(row["count"] for row in self.live() if row["flavor"] == flavor.name)
        return flavor.total - held - flavor.out_of_service

    def calls(self, method: str, path: str) -> list[Any]:
        """The bodies of the requests of a kind."""
        return [body for m, p, body in self.asked if m == method and p.startswith(path)]

    def announce(self, event: str = "inventory") -> None:
        """Tells everybody who listens that something changed."""
        assert self.loop is not None
        for listener in list(self.listeners):
            self.loop.call_soon_threadsafe(listener.tell, event)

    def new_ticket(self, user: str) -> str:
        ticket = f"ticket-{next(self.tickets)}-of-{user}"
        self.good_tickets.add(ticket)
        return ticket

    def end_tickets(self) -> None:
        self.good_tickets.clear()

    @contextmanager
    def running(self) -> Iterator[SmallService]:
        self.loop = asyncio.new_event_loop()
        thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        thread.start()
        try:
            self.do(self.listen())
            yield self
        finally:
            self.do(self.close())
            self.loop.call_soon_threadsafe(self.loop.stop)
            thread.join()
            self.loop.close()

    def do(self, step: Any) -> Any:
        """Runs something in the service's own thread."""
        assert self.loop is not None
        return asyncio.run_coroutine_threadsafe(step, self.loop).result(10)

    async def listen(self) -> None:
        sockets = bind_sockets(self.port, "127.0.0.1")
        self.port = sockets[0].getsockname()[1]
        self.server = HTTPServer(application(self))
        self.server.add_sockets(sockets)

    async def close(self) -> None:
        """Goes away as a process does that was killed."""
        assert self.server is not None
        for listener in list(self.listeners):
            listener.gone.set()
        self.server.stop()
        await self.server.close_all_connections()

    def inventory(self) -> dict[str, Any]:
        return {
            "now": NOW.isoformat(),
            "taken_at": NOW.isoformat(),
            "simulated": self.simulated,
            "problem": "",
            "flavors": [self.flavor_view(row) for row in self.flavors],
            "nodes": [],
        }

    def flavor_view(self, row: SmallFlavor) -> dict[str, Any]:
        free = self.free(row)
        soon = {
            name: (NOW + timedelta(minutes=minutes)).isoformat()
            for name, minutes in (("soonest", 5), ("expected", 25), ("latest", 40))
        }
        now = free > row.kept
        return {
            "name": row.name, "display_name": row.display_name, "description": "",
            "memory_mib": row.memory_mib, "sharing": "none", "resource": "nvidia.com/gpu",
            "price": row.price, "total": row.total, "free": free, "kept": row.kept,
            "held": row.total - free - row.out_of_service,
            "out_of_service": row.out_of_service, "waiting": row.waiting, "max_count": row.total,
            "now": now, "expected": None if now else soon, "allowed": row.allowed,
            "why_not": row.why_not,
        }  # fmt: skip

    def me(self, user: str) -> dict[str, Any]:
        mine = [row for row in self.live() if row["user"] == user]
        limits = {
            "devices": None, "memory_mib": None, "servers": None, "flavors": None,
            "duration_s": None,
        }  # fmt: skip
        use = {
            "devices": sum(row["count"] for row in mine),
            "memory_mib": sum(row["memory_mib"] for row in mine),
            "servers": len(mine),
        }
        waiting = [row for row in self.claims.values() if row["state"] == "queued"]
        claims = [
            {"id": row["claim"], "flavor": row["flavor"], "count": 1, "position": row["position"],
             "submitted_at": NOW.isoformat()}
            for row in waiting
        ]  # fmt: skip
        return {
            "user": user, "groups": [], "operator": False, "limits": limits | self.limits,
            "use": use, "claims": claims, "leases": mine, "ended": [],
        }  # fmt: skip

    def claim(self, key: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if key in self.claims:
            return self.claims[key]["answer"]
        flavor = self.flavor(body["flavor"])
        if flavor is None:
            return 404, problem(404, "unknown-flavor", f"There is no GPU flavor '{body['flavor']}'")
        held = next((row for row in self.live() if self.same(row, body)), None)
        if held is None and self.free(flavor) - flavor.kept < body["count"]:
            return self.full(key, body, flavor)
        lease = held or self.grant(body, flavor)
        answer = 201, {
            "state": "granted", "claim": f"claim-{lease['id']}", "lease": lease,
            "reason": "granted", "message": "",
        }  # fmt: skip
        self.claims[key] = {"state": "granted", "answer": answer}
        return answer

    @staticmethod
    def same(lease: dict[str, Any], body: dict[str, Any]) -> bool:
        return all(lease[name] == body[name] for name in ("user", "server", "flavor", "count"))

    def full(self, key: str, body: dict[str, Any], flavor: SmallFlavor) -> tuple[int, Any]:
        text = f"All {flavor.total} {flavor.display_name} are in use"
        if not body.get("wait"):
            return 503, problem(503, "no-capacity", f"{text}; you would be 1st in the queue.")
        name = f"waits-{next(self.numbers)}"
        place = f"You are 1st in the queue for {flavor.display_name}, about 25 min."
        answer = 202, {
            "state": "queued", "claim": name, "position": 1, "reason": "no-capacity",
            "message": place, "expected": None, "expected_at": None,
        }  # fmt: skip
        self.claims[key] = {
            "state": "queued", "answer": answer, "claim": name, "flavor": flavor.name, "position": 1
        }  # fmt: skip
        return answer

    def grant(self, body: dict[str, Any], flavor: SmallFlavor) -> dict[str, Any]:
        number = next(self.numbers)
        lease = {
            "id": f"lease-{number}", "user": body["user"], "server": body["server"],
            "flavor": flavor.name, "count": body["count"], "node": "here",
            "devices": [f"GPU-{flavor.name}-{number}-{n}" for n in range(body["count"])],
            "memory_mib": flavor.memory_mib * body["count"], "status": "held", "target": "active",
            "granted_at": NOW.isoformat(), "ends_at": (NOW + timedelta(hours=8)).isoformat(),
            "simulated": self.simulated, "pid": None,
        }  # fmt: skip
        self.leases[lease["id"]] = lease
        return lease


def problem(status: int, reason: str, detail: str) -> dict[str, Any]:
    return {
        "type": "about:blank", "title": "Not granted", "status": status, "detail": detail,
        "instance": "", "state": "denied", "reason": reason,
    }  # fmt: skip


class Api(RequestHandler):
    def initialize(self, service: SmallService) -> None:
        self.service = service

    async def prepare(self) -> None:
        self.gone = asyncio.Event()
        path = self.request.path.removeprefix(PREFIX)
        body = json.loads(self.request.body) if self.request.body else None
        self.body: Any = body
        credential = self.request.headers.get("Authorization", "").split(" ")[-1]
        self.ticket_user = credential.partition("-of-")[2]
        known = credential == self.service.token or credential in self.service.good_tickets
        if not known:
            self.set_status(401)
            raise Finish(json.dumps({"detail": "who are you?"}))
        self.service.asked.append((self.request.method or "", path, body))
        if key := self.request.headers.get("Idempotency-Key"):
            self.service.keys.append(key)
        self.fault = self.take_fault(self.request.method or "", path)
        if self.fault == "hang":
            await self.gone.wait()
            raise Finish
        if self.fault == "fail":
            self.reply(500, {"detail": "broken"})
            raise Finish
        if self.fault == "refuse":
            self.set_header("Retry-After", "60")
            self.reply(429, {"detail": "You asked for changes 60 times in a row."})
            raise Finish

    def take_fault(self, method: str, path: str) -> str:
        for row in self.service.faults:
            if row[0] == method and path.startswith(row[1]):
                self.service.faults.remove(row)
                return row[2]
        return ""

    def reply(self, status: int, body: Any) -> None:
        if getattr(self, "fault", "") == "lose":
            self.request.connection.stream.close()  # type: ignore[union-attr]
            return
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(body))

    def on_connection_close(self) -> None:
        self.gone.set()


class Tickets(Api):
    def post(self) -> None:
        expires = (NOW + timedelta(hours=1)).isoformat()
        ticket = self.service.new_ticket(self.body["user"])
        self.reply(201, {"ticket": ticket, "expires_at": expires})


class Inventory(Api):
    def get(self) -> None:
        self.reply(200, self.service.inventory() | {"mine": self.service.me(self.ticket_user)})


class Me(Api):
    def get(self) -> None:
        self.reply(200, self.service.me(self.ticket_user))


class Claims(Api):
    def post(self) -> None:
        key = self.request.headers["Idempotency-Key"]
        self.reply(*self.service.claim(key, self.body))


class OneLease(Api):
    def get(self, name: str) -> None:
        self.reply(200, self.service.leases[name])

    def delete(self, name: str) -> None:
        lease = self.service.leases[name]
        lease.update(status="ended", target="ended")
        self.reply(200, lease)


class Holder(Api):
    def post(self, name: str) -> None:
        if self.service.holder_is_over:
            self.reply(409, {"status": 409, "detail": "this lease is over: it was given back"})
            return
        lease = self.service.leases[name]
        lease.update(status="active", pid=self.body["pid"])
        self.reply(200, lease)


class Events(Api):
    async def get(self) -> None:
        self.set_header("Content-Type", "text/event-stream")
        self.service.listeners.add(self)
        self.write(": beat\n\n")
        await self.flush()
        await self.gone.wait()

    def tell(self, event: str) -> None:
        self.write(f"event: {event}\ndata: {{}}\n\n")
        self.flush()

    def on_finish(self) -> None:
        self.service.listeners.discard(self)


class Waiting(RequestHandler):
    """The page of a claim that waits."""

    def get(self, claim: str) -> None:
        self.write(f"<!doctype html><title>Waiting</title><h1>Waiting for {claim}</h1>")


def application(service: SmallService) -> Application:
    routes: list[tuple[str, Callable[..., Any]]] = [
        ("/tickets", Tickets),
        ("/inventory", Inventory),
        ("/me", Me),
        ("/claims", Claims),
        ("/events", Events),
        (r"/leases/([^/]+)", OneLease),
        (r"/leases/([^/]+)/holder", Holder),
    ]
    handlers = [(PREFIX + path, handler, {"service": service}) for path, handler in routes]
    waiting = (r"/services/quota/waiting/([^/]+)", Waiting)
    return Application([*handlers, waiting], log_function=lambda handler: None)
