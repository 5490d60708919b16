"""What live leases have cost so far, as they are billed: the entries of their use, added up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from hub_services.quota.answers import LeaseView
from mlhub.broker.ports import History, Page
from mlhub.core.ledger import UsageEntry

AT_ONCE: Final = 200  # entries read at a time


@dataclass(frozen=True, slots=True)
class Bill:
    """What one lease was billed: credits, and up to when."""

    credits: Decimal
    until: datetime


@dataclass(frozen=True, slots=True)
class _Read:
    last: int = 0  # number of the newest entry that was read
    bills: dict[str, Bill] = field(default_factory=dict)


class Spending:
    """Adds up each entry once: entries are never changed, so only what was added is read again."""

    def __init__(self) -> None:
        self._read: dict[str, _Read] = {}

    async def bills(
        self, history: History, user: str, leases: Sequence[LeaseView]
    ) -> dict[str, Bill]:
        """What a user's live leases were billed, by lease; those without an entry are left out."""
        began = [row.started_at for row in leases if row.started_at]
        if not began:
            self._read.pop(user, None)
            return {}
        known = self._read.get(user, _Read())
        rows = await _added(history, user, after=known.last, since=min(began))
        live = {row.id for row in leases}
        bills = {lease_id: bill for lease_id, bill in known.bills.items() if lease_id in live}
        for _, entry in reversed(rows):
            if entry.lease_id in live:
                bills[entry.lease_id] = _billed(bills.get(entry.lease_id), entry)
        self._read[user] = _Read(rows[0][0] if rows else known.last, bills)
        return bills


def so_far(lease: LeaseView, bill: Bill | None, price: float, now: datetime) -> float:
    """Credits: what was billed, and what has been used since and is billed next."""
    if lease.started_at is None:
        return 0.0
    since = bill.until if bill else lease.started_at
    unbilled = max(0.0, (now - since) / timedelta(hours=1)) * price * lease.count
    return float(bill.credits if bill else 0) + unbilled


async def _added(
    history: History, user: str, *, after: int, since: datetime
) -> list[tuple[int, UsageEntry]]:
    """A user's entries with a higher number, newest first, as far back as `since`."""
    found: list[tuple[int, UsageEntry]] = []
    before = None
    while True:
        rows = await history.usage(user, Page(AT_ONCE, before))
        found += [row for row in rows if row[0] > after and row[1].end > since]
        if len(rows) < AT_ONCE or rows[-1][0] <= after or rows[-1][1].end <= since:
            return found
        before = rows[-1][0]


def _billed(bill: Bill | None, entry: UsageEntry) -> Bill:
    cost = entry.hours * entry.price
    return Bill(cost + bill.credits if bill else cost, entry.end)
