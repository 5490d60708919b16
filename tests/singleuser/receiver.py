"""A tiny real HTTP service that notes reports of first use, and fails first when told to."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler


@dataclass(frozen=True)
class Report:
    lease: str
    authorization: str
    status: int


class Used(RequestHandler):
    def initialize(self, receiver: "Receiver") -> None:
        self.receiver = receiver

    def post(self, lease: str) -> None:
        statuses = self.receiver.statuses.get(lease, [])
        status = statuses.pop(0) if statuses else 204
        authorization = self.request.headers.get("Authorization", "")
        self.receiver.reports.append(Report(lease, authorization, status))
        self.set_status(status)
        if status == 307:
            self.set_header("Location", f"{self.receiver.url}/leases/elsewhere/used")


@dataclass
class Receiver:
    reports: list[Report] = field(default_factory=list)
    statuses: dict[str, list[int]] = field(default_factory=dict)
    """Answers to give for a lease before 204."""
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/services/quota/api/v1"

    def of(self, lease: str) -> list[Report]:
        return [report for report in self.reports if report.lease == lease]

    @contextmanager
    def running(self) -> Iterator["Receiver"]:
        sockets = bind_sockets(0, "127.0.0.1")
        self.port = sockets[0].getsockname()[1]
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=self._serve, args=(loop, sockets), daemon=True)
        thread.start()
        yield self
        loop.call_soon_threadsafe(loop.stop)
        thread.join()

    def _serve(self, loop: asyncio.AbstractEventLoop, sockets: list[socket.socket]) -> None:
        async def listen() -> HTTPServer:
            path = r"/services/quota/api/v1/leases/([^/]+)/used"
            server = HTTPServer(Application([(path, Used, {"receiver": self})]))
            server.add_sockets(sockets)
            return server

        async def close(server: HTTPServer) -> None:
            server.stop()
            await server.close_all_connections()

        server = loop.run_until_complete(listen())
        loop.run_forever()
        loop.run_until_complete(close(server))
        loop.close()
