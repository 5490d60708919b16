"""Looks at holders, shared: whoever asks while one look runs has part in the next one."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import Final

from mlhub.broker.ports import HolderSource
from mlhub.core.leases import Lease
from mlhub.core.lifecycle import Observation

APART: Final = 0.05  # seconds from one look to the next at least: it goes through all processes


class SharedLook:
    """A `HolderSource` that looks once for all who wait, as waiting changes share one commit.

    What anyone is told was seen after they asked: a look that runs already is not shared, since it
    may have passed over what has happened since it began.
    """

    def __init__(self, source: HolderSource) -> None:
        self.source = source
        self._wanted: dict[str, Lease] = {}
        self._next: asyncio.Task[Mapping[str, Observation]] | None = None
        self._running = asyncio.Lock()
        self._begun = -math.inf

    async def observe(self, leases: Sequence[Lease]) -> Mapping[str, Observation]:
        """What is seen of each lease's holder, by lease id."""
        self._wanted.update((lease.id, lease) for lease in leases)
        if self._next is None:
            self._next = asyncio.create_task(self._look())
        seen = await asyncio.shield(self._next)
        return {lease.id: seen[lease.id] for lease in leases if lease.id in seen}

    async def kill(self, lease: Lease) -> None:
        """End by force what is left of the holder."""
        await self.source.kill(lease)

    async def _look(self) -> Mapping[str, Observation]:
        async with self._running:
            clock = asyncio.get_running_loop().time
            await asyncio.sleep(self._begun + APART - clock())
            self._begun = clock()
            wanted, self._wanted, self._next = self._wanted, {}, None
            return await self.source.observe(list(wanted.values()))
