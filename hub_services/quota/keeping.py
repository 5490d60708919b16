"""The loops that keep the ledger true while the service runs."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from hub_services.quota.service import Service
from mlhub.adapters.notify import OPERATORS
from mlhub.broker.sweeping import Sweep
from mlhub.core.errors import InventoryUnavailable, LedgerUnavailable, MlhubError, NotOwner
from mlhub.core.strays import Stray, find_strays, lasting

log = logging.getLogger(__name__)
EVERY: Final = 1.0  # seconds between two sweeps
SOON: Final = 0.1  # seconds between two sweeps at least, however much happens
PROVED_EVERY: Final = 10.0  # seconds between two commits at most: a full disk shows by them
STRAYS_EVERY: Final = 10.0  # seconds between two looks for use outside a lease
USE_EVERY: Final = 5.0  # seconds between two looks at the clock for a sample of the use
LONGEST_PAUSE: Final = 10.0  # seconds of back-off at most
FAREWELL: Final = 5.0  # seconds that what the sweeps began may take to end


@dataclass(frozen=True, slots=True)
class Loop:
    """Something that is done again and again, and never stops for an error.

    Attributes:
        does: one round; it returns how long to pause, in seconds.
        failed: told of what stopped a round.
    """

    name: str
    does: Callable[[], Awaitable[float]]
    failed: Callable[[Exception], None]

    async def run(self, wake: asyncio.Event | None = None) -> None:
        """Until it is cancelled, or another process owns the ledger."""
        failures = 0
        while True:
            try:
                pause = await self.does()
                failures = 0
            except NotOwner:
                raise
            except Exception as error:  # noqa: BLE001 - the loop's edge: logged, and tried again
                failures += 1
                pause = min(LONGEST_PAUSE, 2.0 ** min(failures, 5) / 2)
                self._log(error, pause)
                self.failed(error)
            await _pause(pause, None if failures else wake)

    def _log(self, error: Exception, pause: float) -> None:
        expected = isinstance(error, MlhubError)
        trace = None if expected else error
        log.warning("the %s failed, again in %.0f s: %s", self.name, pause, error, exc_info=trace)


async def _pause(seconds: float, wake: asyncio.Event | None) -> None:
    if wake is None:
        await asyncio.sleep(seconds)
        return
    await asyncio.sleep(min(SOON, seconds))
    try:
        await asyncio.wait_for(wake.wait(), max(0.0, seconds - SOON))
    except TimeoutError:
        return
    wake.clear()


class Keeper:
    """Sweeps every second and after each event, and looks at what runs on the devices."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.sweep = Sweep(service.broker)
        self._strays: list[Stray] = []
        self._prove_at = 0.0

    async def run(self) -> None:
        """Until it is cancelled.

        Raises:
            NotOwner: another process owns the ledger now.
        """
        loops = [Loop("sweep", self._sweep, self._swept_badly).run(self.service.wake)]
        if self.service.usage is not None:
            loops.append(Loop("look for strays", self._look, lambda _: None).run())
            loops.append(Loop("look at the use", self._note_use, lambda _: None).run())
        async with asyncio.TaskGroup() as group:
            for loop in loops:
                group.create_task(loop)

    async def settle(self) -> None:
        """Wait a while for what the sweeps asked of the hub."""
        try:
            await asyncio.wait_for(self.sweep.settle(), FAREWELL)
        except TimeoutError:
            log.warning("what was asked of JupyterHub last has not been answered")

    async def record_refusals(self) -> None:
        """Write down what was refused last, at the end of all requests."""
        try:
            await self.service.broker.record_refusals(all_of_them=True)
        except (LedgerUnavailable, NotOwner) as error:
            log.warning("the last refusals are not in the audit: %s", error)

    async def _sweep(self) -> float:
        await self.sweep.once()
        await self.service.broker.record_refusals()
        if self.service.vitals.trouble or time.monotonic() >= self._prove_at:
            await self.service.broker.prove()
            self._prove_at = time.monotonic() + PROVED_EVERY
        self.service.vitals.swept()
        return EVERY

    def _swept_badly(self, error: Exception) -> None:
        self.service.vitals.trouble = str(error) or type(error).__name__
        if isinstance(error, LedgerUnavailable):
            self.service.metrics.store_errors.inc()

    async def _look(self) -> float:
        """Who uses GPUs outside a lease; told to those whom it concerns, once."""
        service = self.service
        if service.usage is None:
            return STRAYS_EVERY
        try:
            uses = await service.usage.processes()
        except InventoryUnavailable:
            return STRAYS_EVERY
        ledger = await service.broker.store.snapshot()
        found = find_strays(uses, ledger.leases.values())
        known = {_mark(stray) for stray in service.strays}
        service.strays = tuple(lasting(self._strays, found))
        self._strays = found
        for stray in service.strays:
            if _mark(stray) not in known:
                self._tell(stray)
        return STRAYS_EVERY

    async def _note_use(self) -> float:
        """How busy the devices are, for the pictures of the last hour."""
        service = self.service
        loads, scene = await service.picture.load(service.usage), await service.look()
        if service.recent.note(loads, scene.now):
            for user in {lease.ask.user for lease in scene.ledger.leases.values()}:
                service.bus.changed("leases", user)
        return USE_EVERY

    def _tell(self, stray: Stray) -> None:
        log.warning("%s", stray.for_admin())
        bus = self.service.bus
        bus.tell(OPERATORS, "stray", stray.for_admin())
        if stray.owner:
            bus.tell(stray.owner, "stray", stray.for_owner())
        for user in stray.disturbed:
            bus.tell(user, "stray", stray.for_holder())


def _mark(stray: Stray) -> tuple[str, int]:
    return (stray.device, stray.pid)
