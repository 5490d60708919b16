"""The inventory as the broker uses it: read seldom, and never believed for longer than it holds."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from mlhub.broker.ports import Clock, InventorySource
from mlhub.core.devices import Inventory
from mlhub.core.errors import InventoryUnavailable

log = logging.getLogger(__name__)
FRESH: Final = 2.0  # seconds after which the sweep asks the hardware again
USED: Final = 4.0  # seconds that an inventory is used by others, who leave the asking to the sweep
PATIENCE: Final = 0.25  # seconds that one who asks waits for hardware that answered before
BELIEVED: Final = 60.0  # seconds after which devices that cannot be asked are not given out
_EMPTY: Final = Inventory((), (), datetime.fromtimestamp(0, UTC), problem="not read yet")


class Hardware:
    """Keeps the last inventory and says how far it can be trusted."""

    def __init__(self, source: InventorySource, clock: Clock) -> None:
        self.source = source
        self.clock = clock
        self._last = _EMPTY
        self._read_at: float | None = None
        self._tried_at: float | None = None
        self._reading: asyncio.Task[None] | None = None

    async def inventory(self, *, within: float = USED) -> Inventory:
        """The inventory, at most `within` seconds old while the hardware answers at once.

        Who asks waits for it no longer than a moment: what was known before is answered then,
        and what comes of the question holds for the next. Only the first answer is waited for.
        """
        if self._older_than(within):
            self._reading = self._reading or asyncio.create_task(self._read())
            patience = None if self._tried_at is None else PATIENCE
            await asyncio.wait({self._reading}, timeout=patience)
        return self._last

    def _older_than(self, seconds: float) -> bool:
        return self._tried_at is None or self.clock.monotonic() - self._tried_at >= seconds

    def last(self) -> Inventory:
        """The inventory as it was read last; empty before."""
        return self._last

    @property
    def age(self) -> float | None:
        """Seconds since the hardware last answered; None if it never did."""
        return None if self._read_at is None else self.clock.monotonic() - self._read_at

    async def _read(self) -> None:
        begun = self.clock.monotonic()
        try:
            self._last = await self.source.read()
            self._read_at = begun
        except InventoryUnavailable as error:
            if not self._last.problem:
                log.warning("the GPUs cannot be asked: %s", error)
            self._last = self._doubted(str(error), begun)
        except Exception as error:
            log.exception("the GPUs cannot be asked")
            self._last = self._doubted(f"the answer cannot be used: {error}", begun)
        finally:
            self._tried_at = self.clock.monotonic()
            self._reading = None

    def _doubted(self, why: str, now: float) -> Inventory:
        """The last inventory with its problem; after a minute nothing of it is given out."""
        doubted = replace(self._last, problem=why)
        if self._read_at is not None and now - self._read_at < BELIEVED:
            return doubted
        closed = tuple(replace(n, schedulable=False, trouble=why) for n in doubted.nodes)
        return replace(doubted, nodes=closed)
