"""The ledger in this process's memory: for tests and simulations; gone when the process ends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from mlhub.broker.ports import Clock, Decide, Page
from mlhub.core.errors import BrokenInvariant, LedgerUnavailable
from mlhub.core.leases import Lease
from mlhub.core.ledger import Anchor, AuditRecord, Changes, Ledger, UsageEntry

T = TypeVar("T")
Row = TypeVar("Row", Lease, UsageEntry, AuditRecord)


class MemoryStore:
    """A `Store` and a `History` whose one transaction at a time is a call without an await."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._owner = ""
        self._ledger = Ledger()
        self._ended: dict[str, Lease] = {}
        self._usage: list[UsageEntry] = []
        self._audit: list[AuditRecord] = []

    async def open(self, owner: str) -> None:
        """Become usable; there can be no other owner."""
        self._owner = owner

    async def update(self, decide: Decide[T]) -> T:
        """Decide and keep what it changes.

        Raises:
            BrokenInvariant: it would give a device to more leases than fit.
            LedgerUnavailable: it is not open.
        """
        self._check_open()
        anchor = Anchor(self._clock.now(), self._clock.monotonic(), self._clock.boot())
        value, changes = decide(self._ledger, anchor)
        if changes:
            after = self._ledger.apply(changes)
            _check_devices(after, changes.leases)
            self._keep(changes)
            self._ledger = replace(
                after, anchor=changes.anchor or anchor, revision=self._ledger.revision + 1
            )
        return value

    async def snapshot(self) -> Ledger:
        """The ledger as of the last update."""
        self._check_open()
        return self._ledger

    async def close(self) -> None:
        """Stop being usable; what was kept stays until the store itself is gone."""
        self._owner = ""

    async def ended_leases(self, user: str | None, page: Page) -> list[tuple[int, Lease]]:
        """Ended leases, of one user or of all."""
        return _paged([(row.ask.user, row) for row in self._ended.values()], user, page)

    async def ended_lease(self, lease_id: str) -> Lease | None:
        """One ended lease; None when there is none of that id, or it is live."""
        return self._ended.get(lease_id)

    async def usage(self, user: str | None, page: Page) -> list[tuple[int, UsageEntry]]:
        """Usage entries, of one user or of all."""
        return _paged([(row.user, row) for row in self._usage], user, page)

    async def audit(self, user: str | None, page: Page) -> list[tuple[int, AuditRecord]]:
        """Audit records, about one user or all."""
        return _paged([(row.user, row) for row in self._audit], user, page)

    def _check_open(self) -> None:
        if not self._owner:
            raise LedgerUnavailable("The ledger is not open.")

    def _keep(self, changes: Changes) -> None:
        self._ended.update((lease.id, lease) for lease in changes.leases if not lease.live)
        self._usage.extend(changes.usage)
        self._audit.extend(changes.audit)


def _check_devices(ledger: Ledger, changed: Iterable[Lease]) -> None:
    taken = ledger.taken()
    for lease in {row.id: row for row in changed}.values():
        for device, fits in lease.placement.capacities if lease.live else ():
            if taken[device] > fits:
                raise BrokenInvariant(f"{device} has {taken[device]} leases, but fits {fits}")


def _paged(rows: Sequence[tuple[str, Row]], user: str | None, page: Page) -> list[tuple[int, Row]]:
    numbered = [
        (number, row)
        for number, (owner, row) in enumerate(rows, start=1)
        if (user is None or owner == user) and (page.before is None or number < page.before)
    ]
    return numbered[: -page.limit - 1 : -1]
