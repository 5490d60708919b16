"""What is free, as this hub last heard it: one client and one short-lived copy for all spawners."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from mlhub.client import BrokerClient, FlavorView, InventoryView, NoToken, Patience, Refused
from mlhub.client import ServiceUnavailable as Silent
from mlhub.core.devices import Flavor

FRESH_S: Final = 2.0  # the form's own script refreshes what is older
TICKET_FRESH_S: Final = 600.0  # of the hour that a ticket is good for
MOST_TICKETS: Final = 2000
RESOURCE: Final = "nvidia.com/gpu"
QUICK: Final = Patience(deadline_s=1.0, try_s=1.0)
NO_ANSWER: Final = (Silent, Refused, NoToken)


class Availability:
    """The quota service as the hub's process sees it.

    Args:
        url: where its API is.
        token: of the hub-side credential.
        patience_s: seconds that a claim is asked for.

    Attributes:
        last: what was last heard.
        answered: whether the service answered when it was last asked.
    """

    def __init__(self, url: str, token: str, *, patience_s: float) -> None:
        insisting = Patience(deadline_s=patience_s, try_s=min(4.0, patience_s))
        self.insisting = BrokerClient(url, token=token, patience=insisting)
        self.quick = BrokerClient(url, token=token, patience=QUICK)
        self.last: InventoryView | None = None
        self._asked_at = float("-inf")
        self.answered = False
        self._asking: asyncio.Task[InventoryView | None] | None = None
        self._tickets: dict[tuple[str, tuple[str, ...]], tuple[float, str]] = {}

    async def inventory(self) -> InventoryView | None:
        """What exists and is free, at most `FRESH_S` old; None while the service is away."""
        if time.monotonic() - self._asked_at < FRESH_S:
            return self.last if self.answered else None
        if self._asking is None or self._asking.done():
            self._asking = asyncio.ensure_future(self._ask())
        return await asyncio.shield(self._asking)

    async def _ask(self) -> InventoryView | None:
        try:
            self.last = await self.quick.inventory(devices=False)
            self.answered = True
        except NO_ANSWER:
            self.answered = False
        self._asked_at = time.monotonic()
        return self.last if self.answered else None

    async def ticket(self, user: str, groups: Sequence[str], *, anew: bool = False) -> str:
        """A ticket for one user's browser; "" while the service is away.

        Args:
            user: whose browser.
            groups: that user's.
            anew: the last one is not taken any more.
        """
        if await self.inventory() is None:
            return ""
        key = (user, tuple(sorted(groups)))
        made, ticket = self._tickets.get(key, (float("-inf"), ""))
        if not anew and time.monotonic() - made < TICKET_FRESH_S:
            return ticket
        try:
            ticket = (await self.quick.ticket(user, groups)).ticket
        except NO_ANSWER:
            return ""
        self._remember(key, ticket)
        return ticket

    def _remember(self, key: tuple[str, tuple[str, ...]], ticket: str) -> None:
        """Keep a ticket for this user's next form, and no more of them than people come."""
        now = time.monotonic()
        if len(self._tickets) >= MOST_TICKETS:
            self._tickets = {
                known: row for known, row in self._tickets.items() if now - row[0] < TICKET_FRESH_S
            }
        self._tickets[key] = (now, ticket)

    async def flavors(self, configured: Sequence[Mapping[str, Any]]) -> list[Flavor] | None:
        """The flavors that profiles are matched to; None if they were never known.

        Args:
            configured: their selectors, which the service does not tell; empty: as it tells them.
        """
        await self.inventory()
        seen = {} if self.last is None else {row.name: row for row in self.last.flavors}
        if configured:
            return [_configured(row, seen.get(str(row.get("name")))) for row in configured]
        return None if self.last is None else [_told(row) for row in seen.values()]

    async def close(self) -> None:
        """Gives up the connections."""
        await self.insisting.close()
        await self.quick.close()


def _configured(row: Mapping[str, Any], seen: FlavorView | None) -> Flavor:
    name = str(row.get("name", ""))
    return Flavor(
        name=name,
        display_name=str(row.get("display_name") or name),
        resource=str(row.get("resource") or RESOURCE),
        selector=dict(row.get("selector") or {}),
        description=str(row.get("description") or ""),
        max_count=seen.max_count if seen else row.get("max_count"),
    )


def _told(row: FlavorView) -> Flavor:
    return Flavor(
        name=row.name,
        display_name=row.display_name,
        resource=row.resource or RESOURCE,
        description=row.description,
        max_count=max(1, row.max_count),
    )
