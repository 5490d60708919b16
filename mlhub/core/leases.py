"""A lease, its states and its transitions; every function takes `now`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from mlhub.core.claims import Ask, Placement
from mlhub.core.errors import Conflict

# After so many times its patience a holder that was to end is no longer expected to.
STUCK: Final = 4


class LeaseStatus(StrEnum):
    """What was observed of a lease."""

    HELD = "held"  # granted; the holder has not been seen yet
    ACTIVE = "active"  # the holder runs
    ENDING = "ending"  # to be ended; the holder's end has not been observed yet
    ENDED = "ended"  # the devices are free


class Target(StrEnum):
    """What a lease shall become; `status` follows it, one observed step after the other."""

    ACTIVE = "active"
    ENDED = "ended"


class EndReason(StrEnum):
    """Why a lease ended; the user is told in `END_TEXTS`' words."""

    STOPPED = "stopped"
    RELEASED = "released"
    EXPIRED = "expired"
    UNUSED = "unused"
    NOT_STARTED = "not-started"
    START_FAILED = "start-failed"
    NOT_ALLOWED = "not-allowed"


END_TEXTS = {
    EndReason.STOPPED: "the server ended",
    EndReason.RELEASED: "it was given back",
    EndReason.EXPIRED: "its time was over and someone was waiting",
    EndReason.UNUSED: "nobody opened the server within the claim window",
    EndReason.NOT_STARTED: "the server was not started in time",
    EndReason.START_FAILED: "the server could not be started",
    EndReason.NOT_ALLOWED: "the user may not use it any more",
}


@dataclass(frozen=True, slots=True)
class Lease:
    """A current, expiring grant. At most one holder, and none but it may use the devices.

    Attributes:
        ask: what was asked for, as the claim had it.
        from_queue: True when it waited; then the claim window applies.
        granted_at: when the devices became its own.
        start_by: until then the holder must have been seen.
        starts: how often the service has asked the hub to start the server, and when last.
        holder: what identifies the process or pod, as the observer of it wrote it; "" before.
        started_at: when the holder began, as observed.
        used_at: the first request that the owner made, which closes the claim window.
        ends_at: the end that was promised; later only while nobody waits.
        warned_at: when the holder was told that it will end.
        seen_at: when the holder was last observed to be there.
        billed_until: up to where usage entries were written.
        ended_at: when the holder's end was observed.
        reason, why, by: the end's reason, its text for the user, and who wanted it.
    """

    id: str
    claim_id: str
    ask: Ask
    placement: Placement
    granted_at: datetime
    start_by: datetime
    ends_at: datetime
    status: LeaseStatus = LeaseStatus.HELD
    target: Target = Target.ACTIVE
    from_queue: bool = False
    starts: int = 0
    start_asked_at: datetime | None = None
    stop_asked_at: datetime | None = None
    holder: str = ""
    started_at: datetime | None = None
    used_at: datetime | None = None
    warned_at: datetime | None = None
    seen_at: datetime | None = None
    billed_until: datetime | None = None
    ended_at: datetime | None = None
    reason: EndReason | None = None
    why: str = ""
    by: str = ""

    @property
    def live(self) -> bool:
        """Whether its devices are taken: until the holder's end was observed."""
        return self.status is not LeaseStatus.ENDED

    @property
    def count(self) -> int:
        """How many devices it has."""
        return len(self.placement.devices)


def attach(lease: Lease, *, holder: str, started_at: datetime) -> Lease:
    """The holder was named (a process, a pod); a repeat with the same one changes nothing.

    Raises:
        Conflict: the lease is ending, or has another holder.
    """
    if lease.target is Target.ENDED:
        raise Conflict(f"this lease is over: {lease.why or 'it has ended'}")
    if lease.holder and lease.holder != holder:
        raise Conflict("this lease already has a holder")
    if lease.holder == holder and lease.status is LeaseStatus.ACTIVE:
        return lease
    began = max(started_at, lease.granted_at)
    return replace(
        lease, holder=holder, status=LeaseStatus.ACTIVE, started_at=began, seen_at=began,
        billed_until=began,
    )  # fmt: skip


def use(lease: Lease, now: datetime) -> Lease:
    """Its owner made a first request of their own: the claim window is closed."""
    return lease if lease.used_at else replace(lease, used_at=now)


def warn(lease: Lease, now: datetime) -> Lease:
    """The holder is told that it ends."""
    return lease if lease.warned_at else replace(lease, warned_at=now)


def end(lease: Lease, reason: EndReason, *, by: str, why: str = "") -> Lease:
    """It shall end; the first reason stays. The devices are free when `vacate` was called."""
    if lease.target is Target.ENDED:
        return lease
    status = lease.status if lease.status is LeaseStatus.ENDED else LeaseStatus.ENDING
    return replace(
        lease, target=Target.ENDED, status=status, reason=reason, by=by,
        why=why or END_TEXTS[reason],
    )  # fmt: skip


def vacate(lease: Lease, at: datetime) -> Lease:
    """The holder's end was observed: the devices are free from now on."""
    if lease.status is LeaseStatus.ENDED:
        return lease
    ended = lease
    if lease.target is not Target.ENDED:
        ended = end(lease, EndReason.STOPPED, by=lease.ask.user)
    return replace(ended, status=LeaseStatus.ENDED, ended_at=at)


def expected_end(lease: Lease, now: datetime, notice: timedelta) -> datetime:
    """When it ends if someone waits: as promised, but never before the holder's notice is over."""
    warned = lease.warned_at or max(now, lease.ends_at - notice)
    return max(lease.ends_at, warned + notice)


def free_at(lease: Lease, now: datetime, notice: timedelta, patience: timedelta) -> datetime | None:
    """When its devices are free at the latest, if someone waits; never before `now`.

    Args:
        lease: a live lease.
        now: the ledger's time.
        notice: how long before the end its holder is warned.
        patience: how long a holder may take to end before it is ended by force.

    Returns:
        None when nobody can say: its holder does not end even by force.
    """
    if lease.target is not Target.ENDED:
        promised = expected_end(lease, now, notice)
        return promised if promised > now else now + patience
    asked = lease.stop_asked_at or now
    return None if now > asked + STUCK * patience else max(now, asked + patience)


def window_closes(lease: Lease, window: timedelta) -> datetime | None:
    """When an unused lease from the queue passes to the next; None if that cannot happen."""
    if not lease.from_queue or lease.used_at or not lease.started_at:
        return None
    return lease.started_at + window
