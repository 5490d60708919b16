"""kill -9 of the service in the middle of claims and releases: nothing double, lost or leaked."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import signal
import tempfile
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from benchmarks.api import FLAVOR, Client, client_at, gpus
from benchmarks.report import finish, progress
from tests.services.quota.hub import Hub
from tests.services.quota.running import Quota, quota_service

DEVICES = 16
CLIENTS = 24
BACK_LIMIT_S = 60.0
IN_ITS_START = 0.1  # the share of the kills that may come before the service answers


@dataclass
class Book:
    """What the clients were told: the leases that are theirs, by id, and the double grants."""

    held: dict[str, tuple[str, ...]] = field(default_factory=dict)
    released: set[str] = field(default_factory=set)
    double: int = 0

    def granted(self, lease: dict) -> None:
        """Note an acknowledged grant."""
        if lease["id"] in self.held or lease["id"] in self.released:
            return
        taken = {uuid for devices in self.held.values() for uuid in devices}
        self.double += bool(taken & set(lease["devices"]))
        self.held[lease["id"]] = tuple(lease["devices"])


async def insist(call, limit_s: float = BACK_LIMIT_S):
    """Repeat a call while the service is away, as every client of ours does."""
    end = time.monotonic() + limit_s
    while True:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, ValueError):
            answer = await call()
            status = answer if isinstance(answer, int) else answer["http"]
            if status < 500 or (not isinstance(answer, int) and answer.get("state") == "denied"):
                return answer
        if time.monotonic() > end:
            raise TimeoutError("the service did not come back")
        await asyncio.sleep(0.05)


async def person(number: int, client: Client, book: Book, going: asyncio.Event) -> None:
    """Claims with one key until it is answered, keeps the GPU a moment, gives it back."""
    dice = random.Random(number)
    while going.is_set():
        key = uuid.uuid4().hex
        answer = await insist(lambda key=key: client.claim(f"user-{number}", key=key))
        if answer.get("state") != "granted":
            await asyncio.sleep(dice.uniform(0, 0.05))
            continue
        lease = answer["lease"]
        book.granted(lease)
        await asyncio.sleep(dice.uniform(0, 0.1))
        # From here on the ledger may give the devices to another, whenever it hears of it.
        del book.held[lease["id"]]
        book.released.add(lease["id"])
        await insist(lambda lease=lease: client.release(lease["id"]))


def revive(quota: Quota) -> None:
    """Kill -9, and the next one at once: the supervisor's growing pauses would take hours."""
    quota.end(signal.SIGKILL)
    quota.start()


async def kill_often(quota: Quota, client: Client, kills: int) -> None:
    """End the service without warning, again and again, at random moments of its life."""
    dice = random.Random(1)
    for done in range(1, kills + 1):
        if dice.random() > IN_ITS_START:
            await insist(client.alive)
        await asyncio.sleep(dice.uniform(0, 1.2))
        await asyncio.to_thread(revive, quota)
        if done % 20 == 0:
            progress(f"{done} of {kills} kills")


async def measure(quota: Quota, kills: int) -> dict[str, int]:
    """The figures of one run."""
    book, going = Book(), asyncio.Event()
    going.set()
    token = quota.hub.tokens["spawner"]
    async with client_at(f"{quota.url}api/v1", token, CLIENTS) as client:
        people = [
            asyncio.create_task(person(number, client, book, going)) for number in range(CLIENTS)
        ]
        await kill_often(quota, client, kills)
        going.clear()
        await asyncio.gather(*people)
        kept = [await insist(lambda n=n: client.claim(f"keeper-{n}")) for n in range(DEVICES // 2)]
        for answer in kept:
            if answer.get("state") == "granted":
                book.granted(answer["lease"])
        await asyncio.to_thread(revive, quota)
        await insist(lambda: client.claim("after"))
        await insist(lambda: client.release("none"))
        live = {row["id"] for row in await client.live()}
        lost = len(set(book.held) - live)
        await client.clear()
        return {
            "kills": kills, "granted": len(book.released) + len(book.held),
            "double": book.double, "lost": lost, "leaked": len(await client.live()),
        }  # fmt: skip


def main() -> None:
    """Kill the service 200 times during claims and releases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home, hub = Path(folder, "home"), Hub(Path(folder))
        home.mkdir()
        file = Path(folder, "gpus.yaml")
        file.write_text(json.dumps(gpus(DEVICES)))
        settings = {
            "inventory": {"source": "simulated", "simulated_file": str(file)},
            "flavors": [{"name": FLAVOR, "display_name": "A100", "model": "*A100*"}],
        }
        with hub.running(), quota_service(hub, home, **settings) as quota:
            finish(asyncio.run(measure(quota, args.kills)))


if __name__ == "__main__":
    main()
