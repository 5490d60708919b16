"""kill -9 of the service in the middle of claims and releases: nothing double, lost or leaked."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import signal
import tempfile
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from benchmarks.api import Client, client_for, stack_with
from benchmarks.report import finish, progress
from tests.running import Stack

DEVICES = 16
CLIENTS = 24
BACK_LIMIT_S = 60.0


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


def service(stack: Stack) -> int | None:
    """The process of the quota service, as the supervisor knows it."""
    process = stack.part("quota")
    return process.pid if process else None


async def kill_often(stack: Stack, kills: int) -> None:
    """End the service without warning, again and again, at random moments of its life."""
    dice, last = random.Random(1), None
    for done in range(1, kills + 1):
        pid = await asyncio.to_thread(service, stack)
        while pid is None or pid == last:
            await asyncio.sleep(0.1)
            pid = await asyncio.to_thread(service, stack)
        await asyncio.sleep(dice.uniform(0.2, 1.5))
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        last = pid
        if done % 20 == 0:
            progress(f"{done} of {kills} kills")


async def measure(stack: Stack, kills: int) -> dict[str, int]:
    """The figures of one run."""
    book, going = Book(), asyncio.Event()
    going.set()
    async with client_for(stack, connections=CLIENTS) as client:
        people = [
            asyncio.create_task(person(number, client, book, going)) for number in range(CLIENTS)
        ]
        await kill_often(stack, kills)
        going.clear()
        await asyncio.gather(*people)
        kept = [await insist(lambda n=n: client.claim(f"keeper-{n}")) for n in range(DEVICES // 2)]
        for answer in kept:
            if answer.get("state") == "granted":
                book.granted(answer["lease"])
        pid = await asyncio.to_thread(service, stack)
        if pid:
            os.kill(pid, signal.SIGKILL)
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
    with (
        tempfile.TemporaryDirectory() as folder,
        stack_with(Path(folder, "home"), devices=DEVICES) as stack,
    ):
        finish(asyncio.run(measure(stack, args.kills)))


if __name__ == "__main__":
    main()
