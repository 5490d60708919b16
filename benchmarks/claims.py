"""Claims by HTTP: exactly as many grants as devices, decisions a second, and their latency."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.api import Client, client_for, postgresql, stack_with
from benchmarks.lock_table import claims_per_second
from benchmarks.report import finish, percentile, progress

DEVICES = 100
CLAIMS = 1000
CLIENTS = 64


async def exact(client: Client, runs: int) -> int:
    """How many runs of 1,000 claims at once gave out exactly the devices there are."""
    good = 0
    for run in range(runs):
        await client.clear()
        asked = [
            client.claim(f"user-{number}", key=f"run-{run}-{number:06}-{time.monotonic_ns()}")
            for number in range(CLAIMS)
        ]
        answers = await asyncio.gather(*asked)
        granted = [row for row in answers if row.get("state") == "granted"]
        leased = await client.live()
        devices = {uuid for row in leased for uuid in row["devices"]}
        good += len(granted) == len(leased) == len(devices) == DEVICES
        progress(f"run {run + 1} of {runs}: {len(granted)} granted, {len(devices)} devices leased")
    return good


async def per_second(client: Client, seconds: float) -> float:
    """Decisions a second with 64 clients that claim, and release what they were granted."""
    await client.clear()
    end, count = time.perf_counter() + seconds, 0

    async def one(number: int) -> None:
        nonlocal count
        while time.perf_counter() < end:
            answer = await client.claim(f"user-{number}")
            count += 1
            if answer.get("state") == "granted":
                await client.release(answer["lease"]["id"])

    await asyncio.gather(*(one(number) for number in range(CLIENTS)))
    return count / seconds


async def p99_ms(client: Client, rate: int, seconds: float) -> float:
    """The 99th percentile of an answer's time when claims come at a rate, whatever is answered."""
    await client.clear()
    times: list[float] = []

    async def one(number: int, due: float) -> None:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        answer = await client.claim(f"user-{number}")
        times.append((time.perf_counter() - due) * 1000)
        if answer.get("state") == "granted":
            await client.release(answer["lease"]["id"])

    start = time.perf_counter() + 0.1
    arrivals = range(int(rate * seconds))
    await asyncio.gather(*(one(number, start + number / rate) for number in arrivals))
    return percentile(times, 0.99)


async def measure(stack: Any, *, runs: int, seconds: float) -> dict[str, Any]:
    """All figures of one database."""
    async with client_for(stack, connections=256) as client:
        figures: dict[str, Any] = {"exact_runs": await exact(client, runs)}
    async with client_for(stack, connections=CLIENTS) as client:
        figures["per_second"] = round(await per_second(client, seconds), 1)
        progress(f"{figures['per_second']} decisions a second with {CLIENTS} clients")
        figures["p99_ms"] = round(await p99_ms(client, 100, seconds), 1)
        progress(f"p99 {figures['p99_ms']} ms at 100 claims a second")
    return figures


def main() -> None:
    """Measure on SQLite and on PostgreSQL, beside a bare lock table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=15)
    args = parser.parse_args()
    figures: dict[str, Any] = {"runs": args.runs}
    with tempfile.TemporaryDirectory() as folder:
        for name in ("sqlite", "postgresql"):
            with ExitStack() as stack:
                base = Path(folder, name)
                ledger = stack.enter_context(postgresql(base / "pg")) if name != "sqlite" else ""
                running = stack.enter_context(
                    stack_with(base / "home", devices=DEVICES, ledger=ledger)
                )
                progress(f"{name}:")
                figures[name] = asyncio.run(measure(running, runs=args.runs, seconds=args.seconds))
        rate = claims_per_second(Path(folder, "locks.sqlite"), args.seconds)
        figures["lock_table_per_second"] = round(rate, 1)
    finish(figures)


if __name__ == "__main__":
    main()
