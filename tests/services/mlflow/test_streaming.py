"""Back-pressure through the proxy: real sockets, with an MLflow that counts what it may send."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application

from hub_services.mlflow.proxy import Gate
from hub_services.mlflow.settings import Settings
from hub_services.mlflow.upstream import Upload, new_session

MIB = 2**20
TOTAL = 256
BUFFERS = 32 * MIB  # what sockets and streams of four hops may hold; measured: 5 to 9 MiB
ARTIFACT = "/services/mlflow/api/2.0/mlflow-artifacts/artifacts/1/weights.bin"


class OpenGate(Gate):
    """The gate for someone who is already let in."""

    async def admit(self) -> str | None:
        return "ada"


@dataclass
class Passing:
    """Bytes that went out of MLflow's stand-in, and the port of the proxy before it."""

    sent: int = 0
    port: int = 0

    async def download(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        for _ in range(TOTAL):
            await answer.write(bytes(MIB))
            self.sent += MIB
        return answer

    async def upload(self, request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()  # reads nothing
        return web.Response()


@pytest.fixture
async def passing(tmp_path: Path) -> AsyncIterator[Passing]:
    passing = Passing()
    stand_in = web.Application()
    stand_in.router.add_get("/{path:.*}", passing.download)
    stand_in.router.add_put("/{path:.*}", passing.upload)
    runner = web.AppRunner(stand_in, shutdown_timeout=0.1)
    await runner.setup()
    socket = tmp_path / "s"
    await web.UnixSite(runner, str(socket)).start()
    settings = Settings("", 0, "/services/mlflow/", tmp_path, socket, "", "", 2**40)
    async with new_session(socket) as session:
        shared = {"settings": settings, "session": session}
        server = HTTPServer(Application([(".*", OpenGate, shared)]), max_body_size=2**62)
        sockets = bind_sockets(0, "127.0.0.1")
        server.add_sockets(sockets)
        passing.port = sockets[0].getsockname()[1]
        yield passing
        server.stop()
        await server.close_all_connections()
    await runner.cleanup()


async def settled(passing: Passing) -> int:
    """What was sent, once no more was for a second."""
    before = -1
    while passing.sent > before:
        before = passing.sent
        await asyncio.sleep(1)
    return passing.sent


async def test_a_reader_that_stops_stops_mlflow(passing: Passing) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", passing.port)
    writer.write(f"GET {ARTIFACT} HTTP/1.1\r\nHost: hub\r\n\r\n".encode())
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    assert 0 < await settled(passing) < BUFFERS
    writer.transport.abort()


async def test_mlflow_that_does_not_read_stops_the_sender(passing: Passing) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", passing.port)
    writer.write(f"PUT {ARTIFACT} HTTP/1.1\r\nHost: hub\r\n".encode())
    writer.write(f"Content-Length: {TOTAL * MIB}\r\n\r\n".encode())
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(3):
            for _ in range(TOTAL):
                writer.write(bytes(MIB))
                await writer.drain()
                passing.sent += MIB
    assert 0 < passing.sent < BUFFERS
    writer.transport.abort()


async def until(look: Callable[[], bool]) -> None:
    """Look again and again until something is so."""
    pause = asyncio.Event()
    async with asyncio.timeout(10):
        while not look():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(pause.wait(), 0.02)


def served() -> int:
    """How many requests the proxy has not done with."""
    return sum("_execute" in repr(task.get_coro()) for task in asyncio.all_tasks())


async def test_a_request_whose_sender_went_away_half_way_is_done_with(passing: Passing) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", passing.port)
    writer.write(f"PUT {ARTIFACT} HTTP/1.1\r\nHost: hub\r\n".encode())
    writer.write(f"Content-Length: {TOTAL * MIB}\r\n\r\nfirst bytes".encode())
    await writer.drain()
    await until(lambda: served() == 1)
    writer.transport.abort()
    await until(lambda: served() == 0)


async def test_an_upload_that_mlflow_never_takes_is_given_up() -> None:
    upload, exchange = Upload(patience=0.05), asyncio.get_running_loop().create_future()
    await upload.put(b"waits in the queue", until=exchange)
    assert not exchange.done()
    await upload.put(b"finds no place", until=exchange)
    assert exchange.cancelled()


async def test_a_whole_artifact_comes_through_a_slow_reader_unharmed(passing: Passing) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", passing.port)
    writer.write(f"GET {ARTIFACT} HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n".encode())
    received = 0
    while chunk := await reader.read(4 * MIB):
        received += len(chunk)
        await asyncio.sleep(0)
    assert received > TOTAL * MIB
    writer.transport.abort()
