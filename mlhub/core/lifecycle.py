"""One step of a lease towards its target, from what was observed of its holder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

from mlhub.core.leases import (
    EndReason,
    Lease,
    LeaseStatus,
    Target,
    attach,
    end,
    expected_end,
    vacate,
    warn,
    window_closes,
)
from mlhub.core.ledger import AuditRecord, Changes, UsageEntry, bill
from mlhub.core.policy import Policy

CHECKPOINT: Final = timedelta(minutes=1)  # how much observed use a crash may leave unbilled
START_AGAIN: Final = timedelta(minutes=1)  # a call to the hub that was lost is made once more
START_TRIES: Final = 3


class Presence(StrEnum):
    """What an observer can say of a holder. Unknown changes nothing."""

    THERE = "there"
    GONE = "gone"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Observation:
    """Whether a lease's holder runs.

    Times are told as how long ago they were: the observer's wall clock need not be the ledger's,
    which turns them into times of its own.

    Attributes:
        holder: what identifies it, as in `Lease.holder`; "" when it was not found.
        age: for how long it has run.
        unseen: how long ago it was last there, if it is gone now and that is known.
    """

    presence: Presence
    holder: str = ""
    age: timedelta | None = None
    unseen: timedelta | None = None


class Effect(StrEnum):
    """What the world has to be asked for; each may be repeated without harm."""

    START = "start"
    STOP = "stop"
    KILL = "kill"
    WARN = "warn"
    REASSURE = "reassure"  # what was warned of does not come: nobody waits any more


@dataclass(frozen=True, slots=True)
class Step:
    """A lease after one step, what to write, and what to do."""

    lease: Lease
    changes: Changes
    effects: tuple[Effect, ...] = ()


def advance(
    lease: Lease, seen: Observation, *, policy: Policy, waiting: int, price: Decimal,
    now: datetime, ago: timedelta = timedelta(0),
) -> Step:  # fmt: skip
    """Move the lease one step. It may be called twice, late, or from any state.

    Args:
        lease: a live lease.
        seen: what was observed of its holder.
        policy: the times that apply.
        waiting: how many claims wait for its end: see `Pressure`.
        price: credits for one device and hour.
        now: the ledger's time.
        ago: how long before `now` the observer began to look; what it then saw is not believed
            to have lasted until `now`.
    """
    if not waiting and _goes_on(lease, seen, policy, now, now - ago):
        return Step(lease, Changes())
    observed = _observe(lease, seen, now, ago)
    decided = _decide(observed, policy, waiting, now)
    asked, effects = _ask(decided, policy, now, was_warned=bool(lease.warned_at))
    final, usage = _bill(asked, price)
    changed = final != lease and not _only_seen(lease, final)
    records = _records(lease, final, now)
    if not changed:
        return Step(lease, Changes(), effects)
    return Step(final, Changes(leases=(final,), usage=usage, audit=records), effects)


def _goes_on(lease: Lease, seen: Observation, policy: Policy, now: datetime, at: datetime) -> bool:
    """Whether nothing is due of a lease that is in use: what nearly every step of one finds."""
    in_use = lease.status is LeaseStatus.ACTIVE and lease.target is Target.ACTIVE
    if seen.presence is not Presence.THERE or not in_use or lease.warned_at or not lease.seen_at:
        return False
    closes = window_closes(lease, policy.claim_window)
    written = min(lease.seen_at, lease.billed_until or lease.started_at or lease.seen_at)
    return at - written < CHECKPOINT and (closes is None or now < closes)


def _observe(lease: Lease, seen: Observation, now: datetime, ago: timedelta) -> Lease:
    if seen.presence is Presence.UNKNOWN:
        return lease
    if seen.presence is Presence.THERE:
        starting = lease.status is LeaseStatus.HELD and lease.target is Target.ACTIVE
        if starting and seen.age is not None:
            lease = attach(lease, holder=seen.holder, started_at=now - seen.age)
        return replace(lease, seen_at=max(lease.seen_at or lease.granted_at, now - ago))
    if lease.status is LeaseStatus.HELD:
        return lease
    if seen.unseen is not None and lease.seen_at:
        lease = replace(lease, seen_at=max(lease.seen_at, now - ago - seen.unseen))
    return vacate(lease, now)


def _decide(lease: Lease, policy: Policy, waiting: int, now: datetime) -> Lease:
    if lease.target is Target.ENDED:
        return lease
    if lease.status is LeaseStatus.HELD:
        late = now >= lease.start_by
        return end(lease, EndReason.NOT_STARTED, by="broker") if late else lease
    closes = window_closes(lease, policy.claim_window)
    if closes and now >= closes:
        return end(lease, EndReason.UNUSED, by="broker")
    return _decide_time(lease, policy, waiting, now)


def _decide_time(lease: Lease, policy: Policy, waiting: int, now: datetime) -> Lease:
    if not waiting:
        return replace(lease, warned_at=None) if lease.warned_at else lease
    if now >= lease.ends_at - policy.notice:
        lease = warn(lease, now)
    if lease.warned_at and now >= expected_end(lease, now, policy.notice):
        return end(lease, EndReason.EXPIRED, by="broker")
    return lease


def _ask(
    lease: Lease, policy: Policy, now: datetime, *, was_warned: bool
) -> tuple[Lease, tuple[Effect, ...]]:
    if lease.status is LeaseStatus.ENDED:
        return lease, ()
    if lease.target is Target.ENDED:
        return _ask_stop(lease, policy, now)
    if bool(lease.warned_at) != was_warned:
        return lease, (Effect.REASSURE if was_warned else Effect.WARN,)
    if _start_due(lease, now):
        return replace(lease, start_asked_at=now, starts=lease.starts + 1), (Effect.START,)
    return lease, ()


def _start_due(lease: Lease, now: datetime) -> bool:
    """Whether the hub is to be asked to start the server of a lease that waited for its turn."""
    if lease.status is not LeaseStatus.HELD or not lease.from_queue or lease.starts >= START_TRIES:
        return False
    return lease.start_asked_at is None or now >= lease.start_asked_at + START_AGAIN


def _ask_stop(lease: Lease, policy: Policy, now: datetime) -> tuple[Lease, tuple[Effect, ...]]:
    if lease.stop_asked_at is None:
        return replace(lease, stop_asked_at=now), (Effect.STOP,)
    if now >= lease.stop_asked_at + policy.stop_timeout:
        return lease, (Effect.STOP, Effect.KILL)
    return lease, ()


def _bill(lease: Lease, price: Decimal) -> tuple[Lease, tuple[UsageEntry, ...]]:
    """Use is billed up to when the holder was last seen, never past it (invariant I7)."""
    until = lease.seen_at
    if until is None or lease.status is LeaseStatus.HELD:
        return lease, ()
    since = lease.billed_until or lease.started_at or until
    if lease.status is LeaseStatus.ENDED or until - since >= CHECKPOINT:
        return bill(lease, until, price)
    return lease, ()


def _only_seen(before: Lease, after: Lease) -> bool:
    """Whether nothing but the last sight of the holder changed: not worth a write each second."""
    if before.seen_at is None or after.seen_at is None:
        return before.seen_at == after.seen_at and before == after
    recent = after.seen_at - before.seen_at < CHECKPOINT
    return recent and replace(after, seen_at=before.seen_at) == before


def _records(before: Lease, after: Lease, now: datetime) -> tuple[AuditRecord, ...]:
    if before.status is after.status and before.target is after.target:
        action = _warning(before, after)
    else:
        action = str(after.status)
    if not action:
        return ()
    actor = after.by or "broker"
    return (AuditRecord(now, actor, action, after.id, user=after.ask.user, detail=after.why),)


def _warning(before: Lease, after: Lease) -> str:
    """What became of the holder's warning, as the audit has it; "" where nothing did."""
    if bool(before.warned_at) == bool(after.warned_at):
        return ""
    return "warned" if after.warned_at else "extended"
