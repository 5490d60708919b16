"""A process that owns a ledger and writes to it until it is killed.

    python -m tests.adapters.keeper_process URL OWNER

It prints `open` when it owns the ledger, then the number of each update that it was promised.
"""

import asyncio
import sys

from mlhub.adapters.clock import SystemClock
from mlhub.adapters.sql import SqlStore
from mlhub.core.ledger import AuditRecord, Changes


async def write_on(url: str, owner: str) -> None:
    """Add records, eight at a time, and print the number of each as soon as it is kept."""
    store = SqlStore(url, SystemClock(), takeover=10)
    await store.open(owner)
    print("open", flush=True)
    numbers = iter(range(1_000_000))

    async def one_after_the_other() -> None:
        for number in numbers:
            await store.update(lambda _, anchor, n=number: (n, _record(n, anchor.wall)))
            print(number, flush=True)

    await asyncio.gather(*(one_after_the_other() for _ in range(8)))


def _record(number, at):
    return Changes(audit=(AuditRecord(at, "writer", "wrote", str(number)),))


if __name__ == "__main__":
    asyncio.run(write_on(*sys.argv[1:]))
