"""A day on a simulated clock: people come and go on a real SQLite ledger; nothing may leak."""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil

from benchmarks.report import finish, progress
from mlhub.adapters.clock import ManualClock
from mlhub.adapters.notify import EventBus
from mlhub.adapters.rehearsal import RehearsalHub
from mlhub.adapters.simulated import SimulatedInventory
from mlhub.adapters.simulated.spec import Gpus, SimulatedNode, Spec
from mlhub.adapters.sql import SqlStore
from mlhub.broker.broker import Broker
from mlhub.broker.hardware import Hardware
from mlhub.broker.ports import HubUser, Page
from mlhub.broker.sweeping import Sweep
from mlhub.core.claims import Ask
from mlhub.core.errors import Conflict, NotFound
from mlhub.core.invariants import examine
from mlhub.core.policy import Limit, Policy
from mlhub.core.usage_invariants import examine_usage

PEOPLE = 60
DEVICES = 24
MODEL = "NVIDIA A100 80GB PCIe"
FLAVOR = "a100-80gb-pcie"
EVERY = timedelta(seconds=10)


class Day:
    """The world of one soak."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.dice = random.Random(seed)
        self.clock = ManualClock()
        self.hub = RehearsalHub(self.clock)
        self.hub.users = {name: HubUser(name, False, ()) for name in map(str, range(PEOPLE))}
        self.store = SqlStore(f"sqlite:///{folder / 'ledger.sqlite'}", self.clock)
        gpus = Gpus(model=MODEL, count=DEVICES, memory=81920)
        spec = Spec(nodes=(SimulatedNode(name="soak", gpus=(gpus,)),))
        self.source = SimulatedInventory("soak", self.clock, spec=spec)
        self.policy = Policy(everyone=Limit(devices=4, servers=2))
        self.granted = 0

    async def open(self) -> None:
        """Connect everything."""
        await self.store.open("soak")
        self.broker = Broker(
            store=self.store, hardware=Hardware(self.source, self.clock), holders=self.hub,
            hub=self.hub, notifier=EventBus(), clock=self.clock, policy=self.policy,
            new_id=lambda: uuid.uuid4().hex,
        )  # fmt: skip
        self.sweep = Sweep(self.broker)
        self.hub.claim, self.hub.attach = self.broker.claim, self.broker.attach
        self.hub.release = self.broker.release

    async def step(self) -> None:
        """Ten seconds: perhaps somebody comes, perhaps somebody goes, and a sweep."""
        self.clock.advance(EVERY)
        user, server = str(self.dice.randrange(PEOPLE)), self.dice.choice(["", "two"])
        try:
            if self.dice.random() < 0.05:
                await self._come(user, server)
            if self.dice.random() < 0.03:
                await self._go()
        except (Conflict, NotFound):
            pass
        await self.sweep.once()
        await self.sweep.settle()

    async def _come(self, user: str, server: str) -> None:
        if (user, server) in self.hub.servers:
            return
        count = self.dice.choice([1, 1, 1, 2, 4])
        hours = self.dice.choice([1, 4, 8])
        options = json.dumps({"flavor": FLAVOR, "count": count, "hours": hours})
        ask = Ask(
            user=user, server=server, flavor=FLAVOR, count=count, wait=self.dice.random() < 0.7,
            duration=timedelta(hours=hours), options=options,
        )  # fmt: skip
        await self.hub.spawn(ask)
        self.granted += 1

    async def _go(self) -> None:
        if not self.hub.servers:
            return
        key = self.dice.choice(sorted(self.hub.servers))
        if self.dice.random() < 0.3:
            del self.hub.servers[key]
        else:
            await self.hub.stop(*key)

    async def broken(self) -> list[str]:
        """The invariants that do not hold."""
        ledger = await self.store.snapshot()
        seen = await self.hub.observe(list(ledger.leases.values()))
        inventory = await self.broker.hardware.inventory()
        now = self.broker.outlook.now(ledger)
        found = examine(ledger, inventory, self.policy, seen, now)
        usage = [row for _, row in await self.store.usage(None, Page(limit=500))]
        rows = (*found, examine_usage(usage[::-1]))
        return [f"{row.invariant}: {row.detail}" for row in rows if not row.ok]


async def soak(hours: float, seed: int) -> dict[str, Any]:
    """The figures of that many hours."""
    with tempfile.TemporaryDirectory() as folder:
        day = Day(Path(folder), seed)
        await day.open()
        steps, broken, first = round(hours * 3600 / EVERY.total_seconds()), 0, 0
        for number in range(steps):
            await day.step()
            if number % 360 == 0:
                found = await day.broken()
                broken += len(found)
                for text in found:
                    progress(f"hour {number // 360}: {text}")
                memory = psutil.Process().memory_info().rss // 1024
                first = memory if number == steps // 6 // 360 * 360 else first
                progress(f"hour {number // 360}: {len(day.hub.servers)} servers, {memory} KiB")
        day.hub.servers.clear()
        for claim in (await day.store.snapshot()).waiting():
            await day.broker.cancel(claim.id, by="soak")
        for _ in range(200):
            day.clock.advance(EVERY)
            await day.sweep.once()
            await day.sweep.settle()
        leaked = len((await day.store.snapshot()).leases)
        last = psutil.Process().memory_info().rss // 1024
        await day.store.close()
    growth = round(100 * (last - first) / first, 1) if first else None
    return {
        "hours": hours, "asks": day.granted, "broken": broken, "leaked": leaked,
        "memory_growth_percent": growth,
    }  # fmt: skip


def main() -> None:
    """Run a day, or as many hours as asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=24)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    finish(asyncio.run(soak(args.hours, args.seed)))


if __name__ == "__main__":
    main()
