"""The ledger as a value: live claims and leases, usage entries and audit records, and changes."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import chain
from types import MappingProxyType
from typing import Final, TypeVar

from mlhub.core.claims import Claim, ClaimState
from mlhub.core.leases import Lease
from mlhub.core.quantities import gpu_hours

Row = TypeVar("Row", Claim, Lease)
Key = TypeVar("Key")
Value = TypeVar("Value")
STEPPED: Final = "clock-stepped"
PAST_KEPT: Final = 200  # durations remembered for each flavor: enough for tenths, cheap to sort


@dataclass(frozen=True, slots=True)
class UsageEntry:
    """One observed interval of use. Written once, never changed (invariants I4 and I7)."""

    lease_id: str
    user: str
    server: str
    groups: tuple[str, ...]
    flavor: str
    devices: tuple[str, ...]
    start: datetime
    end: datetime
    price: Decimal = Decimal(0)

    @property
    def hours(self) -> Decimal:
        """Device-hours held."""
        return gpu_hours(len(self.devices), self.end - self.start)


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """Who changed what, when and why: one for each change of state (invariant I10)."""

    at: datetime
    actor: str
    action: str
    subject: str
    user: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Anchor:
    """Two clocks read together, so that a step of the wall clock can be told from time passing.

    Attributes:
        wall: the ledger's time, from the database.
        monotonic: seconds since the machine's start, sleep included.
        boot: what identifies that start; another one makes `monotonic` incomparable.
    """

    wall: datetime
    monotonic: float
    boot: str


@dataclass(frozen=True, slots=True)
class Changes:
    """What one decision does to the ledger; applied whole or not at all.

    Attributes:
        forget: drop claims that were decided before that time and hold nothing.
        forget_denied: the same, of denied ones alone.
    """

    claims: tuple[Claim, ...] = ()
    leases: tuple[Lease, ...] = ()
    usage: tuple[UsageEntry, ...] = ()
    audit: tuple[AuditRecord, ...] = ()
    anchor: Anchor | None = None
    forget: datetime | None = None
    forget_denied: datetime | None = None

    @classmethod
    def of(cls, made: Sequence[Changes]) -> Changes:
        """All of them as one, in their order; it costs no more than what they hold."""
        forgetting = [row for row in made if row.forget]
        return cls(
            claims=tuple(chain.from_iterable(row.claims for row in made)),
            leases=tuple(chain.from_iterable(row.leases for row in made)),
            usage=tuple(chain.from_iterable(row.usage for row in made)),
            audit=tuple(chain.from_iterable(row.audit for row in made)),
            anchor=next((row.anchor for row in reversed(made) if row.anchor), None),
            forget=forgetting[-1].forget if forgetting else None,
            forget_denied=forgetting[-1].forget_denied if forgetting else None,
        )

    def __add__(self, later: Changes) -> Changes:
        return Changes.of((self, later))

    def __bool__(self) -> bool:
        rows = self.claims or self.leases or self.usage or self.audit
        return bool(rows or self.anchor or self.forget)


@dataclass(frozen=True, slots=True)
class Ledger:
    """What is needed to decide: claims that wait or ended lately, live leases, past durations.

    Attributes:
        claims: by id; those that ended stay for the time their key is remembered.
        leases: by id; live ones only.
        past: by flavor, how long the last leases were really held, in seconds, oldest first.
        revision: grows by one with each commit.
        keys: the claim's id for each user and idempotency key.
        queue: of the claims, those that wait.
    """

    claims: Mapping[str, Claim] = field(default_factory=lambda: MappingProxyType({}))
    leases: Mapping[str, Lease] = field(default_factory=lambda: MappingProxyType({}))
    past: Mapping[str, tuple[float, ...]] = field(default_factory=lambda: MappingProxyType({}))
    anchor: Anchor | None = None
    revision: int = 0
    keys: Mapping[tuple[str, str], str] = field(default_factory=lambda: MappingProxyType({}))
    queue: Mapping[str, Claim] = field(default_factory=lambda: MappingProxyType({}))

    def claim_by_key(self, user: str, key: str) -> Claim | None:
        """The claim that came with that idempotency key."""
        found = self.keys.get((user, key))
        return self.claims.get(found) if found else None

    def waiting(self, flavor: str | None = None) -> list[Claim]:
        """The claims in the queue, in no order."""
        rows = self.queue.values()
        return [claim for claim in rows if flavor is None or claim.ask.flavor == flavor]

    def leases_of(self, user: str) -> list[Lease]:
        """The live leases of one user, oldest first."""
        mine = (lease for lease in self.leases.values() if lease.ask.user == user)
        return sorted(mine, key=lambda lease: (lease.granted_at, lease.id))

    def taken(self) -> dict[str, int]:
        """How many live leases each device has, by UUID."""
        count: dict[str, int] = {}
        for lease in self.leases.values():
            for uuid in lease.placement.devices:
                count[uuid] = count.get(uuid, 0) + 1
        return count

    def apply(self, changes: Changes) -> Ledger:
        """The ledger after the changes; this one stays as it is."""
        claims, keys, queue = self.claims, self.keys, self.queue
        if changes.claims:
            changed = {claim.id: claim for claim in changes.claims}
            claims = _grown(claims, changed)
            keys = _grown(keys, {(c.ask.user, c.key): c.id for c in changes.claims})
            queue = _queue_after(queue, changed)
        leases, past = self.leases, self.past
        if changes.leases:
            leases = {**leases, **{lease.id: lease for lease in changes.leases if lease.live}}
            gone = [lease for lease in changes.leases if not lease.live]
            for lease in gone:
                leases.pop(lease.id, None)
            past = _with_past(past, gone)
        after = replace(
            self, claims=claims, keys=keys, queue=queue, leases=leases, past=past,
            anchor=changes.anchor or self.anchor, revision=self.revision + 1,
        )  # fmt: skip
        if not changes.forget:
            return after
        return after.without_claims_before(changes.forget, changes.forget_denied)

    def without_claims_before(self, before: datetime, denied: datetime | None = None) -> Ledger:
        """Without the claims that were decided before that time and hold nothing.

        Args:
            before: of all claims.
            denied: of denied ones, where that is another time.
        """
        live = {lease.claim_id for lease in self.leases.values()}
        times = dict.fromkeys(ClaimState, before) | {ClaimState.DENIED: denied or before}
        kept = {
            key: claim
            for key, claim in _whole(self.claims).items()
            if claim.waiting
            or key in live
            or claim.lease_id in self.leases
            or not claim.decided_at
            or claim.decided_at >= times[claim.state]
        }
        keys = {(claim.ask.user, claim.key): claim.id for claim in kept.values()}
        return replace(self, claims=kept, keys=keys)


def _grown(old: Mapping[Key, Value], new: Mapping[Key, Value]) -> Mapping[Key, Value]:
    """The old mapping with the new entries.

    What is large is shared with the old one and copied only now and then: a day's claims are too
    many to be copied for every decision.
    """
    if isinstance(old, ChainMap):
        recent, base = {**old.maps[0], **new}, old.maps[1]
    else:
        recent, base = {**new}, old if isinstance(old, dict) else {**old}
    return ChainMap(recent, base) if len(recent) ** 2 < len(base) else {**base, **recent}


def _whole(grown: Mapping[Key, Value]) -> Mapping[Key, Value]:
    """The same in one piece, for who goes through all of it."""
    return {**grown.maps[1], **grown.maps[0]} if isinstance(grown, ChainMap) else grown


def _queue_after(queue: Mapping[str, Claim], changed: Mapping[str, Claim]) -> Mapping[str, Claim]:
    """The queue with the changed claims that wait, without those that do not wait any more."""
    touched = {name: claim for name, claim in changed.items() if claim.waiting or name in queue}
    if not touched:
        return queue
    after = {**queue, **touched}
    for name, claim in touched.items():
        if not claim.waiting:
            del after[name]
    return after


def _with_past(
    past: Mapping[str, tuple[float, ...]], ended: Iterable[Lease]
) -> Mapping[str, tuple[float, ...]]:
    added = dict(past)
    for lease in ended:
        if lease.started_at and lease.ended_at:
            held = (lease.ended_at - lease.started_at).total_seconds()
            added[lease.ask.flavor] = (*added.get(lease.ask.flavor, ()), held)[-PAST_KEPT:]
    return added


def bill(lease: Lease, until: datetime, price: Decimal) -> tuple[Lease, tuple[UsageEntry, ...]]:
    """The lease billed up to `until`, and the entry for it; none when nothing was observed."""
    since = lease.billed_until or lease.started_at
    if since is None or until <= since:
        return lease, ()
    entry = UsageEntry(
        lease_id=lease.id, user=lease.ask.user, server=lease.ask.server, groups=lease.ask.groups,
        flavor=lease.ask.flavor, devices=lease.placement.devices, start=since, end=until,
        price=price,
    )  # fmt: skip
    return replace(lease, billed_until=until), (entry,)


def step_of(anchor: Anchor | None, now: Anchor, tolerance: timedelta) -> timedelta:
    """By how much the wall clock was stepped since the anchor; zero within the tolerance."""
    if anchor is None or anchor.boot != now.boot:
        return timedelta(0)
    passed = timedelta(seconds=now.monotonic - anchor.monotonic)
    step = (now.wall - anchor.wall) - passed
    return step if abs(step) > tolerance else timedelta(0)


def step_record(step: timedelta, now: datetime) -> AuditRecord:
    """The record of a step of the clock, which `stepped_back` reads again."""
    seconds = round(step.total_seconds())
    return AuditRecord(now, "broker", STEPPED, "ledger", detail=f"{seconds} s")


def stepped_back(records: Iterable[AuditRecord]) -> timedelta:
    """By how much the clock was set back in all, by the records of its steps."""
    return timedelta(seconds=-sum(step for step in _steps(records) if step < 0))


def stepped_on(records: Iterable[AuditRecord]) -> timedelta:
    """By how much the clock was set forward in all, by the records of its steps."""
    return timedelta(seconds=sum(step for step in _steps(records) if step > 0))


def _steps(records: Iterable[AuditRecord]) -> list[int]:
    return [int(row.detail.split()[0]) for row in records if row.action == STEPPED]


def shift(ledger: Ledger, step: timedelta) -> Changes:
    """Every time of what is live, moved with a step of the clock: no window grows or shrinks."""
    return Changes(
        claims=tuple(_shifted(claim, step) for claim in ledger.waiting()),
        leases=tuple(_shifted(lease, step) for lease in ledger.leases.values()),
    )


def _shifted(row: Row, step: timedelta) -> Row:
    times = {
        name: getattr(row, name) + step
        for name in row.__slots__
        if isinstance(getattr(row, name), datetime)
    }
    return replace(row, **times)
