"""What the handlers of one running service share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

from hub_services.quota.answers import FindingView
from hub_services.quota.hub_word import HubWord
from hub_services.quota.lately import Lately
from hub_services.quota.metrics import Metrics
from hub_services.quota.pace import Pace
from hub_services.quota.recent import Recent
from hub_services.quota.scene import Picture, Scene
from hub_services.quota.sign_in import HubSignIn
from hub_services.quota.spending import Spending
from hub_services.quota.tickets import Tickets
from hub_services.quota.vitals import Vitals
from mlhub.adapters.notify import EventBus
from mlhub.broker.broker import Broker
from mlhub.broker.ports import History, UsageSource
from mlhub.core.leases import Lease
from mlhub.core.ledger import Ledger
from mlhub.core.lifecycle import Observation
from mlhub.core.strays import Stray

EXAMINED_EVERY: Final = 30.0  # seconds that a page shows what the doctor found
Closer = Callable[[], Awaitable[None]]


class Pids(Protocol):
    """Who a local process is."""

    async def holder_of(self, pid: int) -> Observation:
        """What holds a lease where this process does; GONE when there is no such process."""

    async def contradiction(self, pid: int, lease: Lease) -> str:
        """Why that process cannot be the lease's holder; "" where nothing speaks against it."""


@dataclass(slots=True)
class Service:
    """One running quota service.

    Attributes:
        history: what is over.
        sign_in: JupyterHub's word on who somebody is.
        prefix: the path that everything of it is under, with a slash at both ends.
        hub_prefix: the hub's own path, such as ``/hub/``.
        picture: counts and forecasts, worked out once for many.
        cookie_secret: signs the cookies of people who signed in to this service.
        pids: who a local process is; None where holders are no local processes.
        usage: what runs on the devices; None where nobody can say.
        spending: what live leases were billed.
        findings: what the doctor found, for pages that are loaded again and again.
        recent: how busy the devices were lately.
        running: which servers run, by the hub's word of some seconds ago.
        people: whom the hub has, by its word of some minutes ago.
        profiles: the environments of the form, as mlhub.yaml has them.
        pace: how often each user may ask for changes.
        wake: set to sweep at once.
        closing: set when the service stops; open streams end then.
        strays: what uses GPUs without a lease, as it was seen last.
        closers: let go of what the service uses, at its end.
        idle: set while no request is being carried out.
    """

    broker: Broker
    history: History
    bus: EventBus
    sign_in: HubSignIn
    tickets: Tickets
    prefix: str
    hub_prefix: str
    cookie_secret: bytes
    picture: Picture = field(default_factory=Picture)
    metrics: Metrics = field(default_factory=Metrics)
    vitals: Vitals = field(default_factory=Vitals)
    pids: Pids | None = None
    usage: UsageSource | None = None
    pace: Pace = field(default_factory=Pace)
    recent: Recent = field(default_factory=Recent)
    hub_word: HubWord = field(default_factory=HubWord)
    spending: Spending = field(default_factory=Spending)
    findings: Lately[list[FindingView]] = field(default_factory=lambda: Lately(EXAMINED_EVERY))
    profiles: Sequence[Mapping[str, Any]] = ()
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    strays: tuple[Stray, ...] = ()
    closers: tuple[Closer, ...] = ()
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    _busy: int = 0
    _seen: Ledger | None = None

    def __post_init__(self) -> None:
        self.idle.set()

    def now(self) -> datetime:
        """This machine's wall clock: for what is nowhere in the ledger."""
        return self.broker.clock.now()

    def ledger_now(self) -> datetime:
        """Ledger time, which a database may keep: every time of leases and claims is told by it."""
        return self.broker.outlook.now(self._seen) if self._seen else self.now()

    @contextmanager
    def carrying_out(self) -> Iterator[None]:
        """Around one request, so that the process does not end within it."""
        self._busy += 1
        self.idle.clear()
        try:
            yield
        finally:
            self._busy -= 1
            if not self._busy:
                self.idle.set()

    async def look(self) -> Scene:
        """The ledger and the hardware as they are now.

        Raises:
            LedgerUnavailable: the ledger cannot be read.
        """
        inventory = await self.broker.hardware.inventory()
        ledger = self._seen = await self.broker.store.snapshot()
        now = self.broker.outlook.now(ledger)
        return Scene(ledger, inventory, self.broker.policy, now)
