"""Letting a lease end later because its holder asks for it: what came of that, and why."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from mlhub.core.errors import Conflict
from mlhub.core.leases import Lease, Target
from mlhub.core.quantities import format_duration

WORTH: Final = timedelta(minutes=1)  # what is less than that is no later end


class RenewalOutcome(StrEnum):
    """What became of the wish; only the first two changed the lease."""

    RENEWED = "renewed"
    SHORTENED = "shortened"
    LATER_ALREADY = "later-already"
    AT_MAXIMUM = "at-maximum"
    OTHERS_WAIT = "others-wait"


@dataclass(frozen=True, slots=True)
class Renewal:
    """The lease as it is now, what was done, and the words for its holder."""

    lease: Lease
    outcome: RenewalOutcome
    message: str

    @property
    def refused(self) -> bool:
        """Whether it could not be, rather than was or need not be."""
        return self.outcome in {RenewalOutcome.AT_MAXIMUM, RenewalOutcome.OTHERS_WAIT}


def renew(
    lease: Lease,
    duration: timedelta,
    now: datetime,
    *,
    longest: timedelta | None = None,
    waiting: int = 0,
) -> Renewal:
    """It shall end `duration` from now, if that is later than it was to end.

    Args:
        lease: a live lease.
        duration: as its holder wants it.
        now: the ledger's time.
        longest: the most that a lease of theirs may have before it; None is no bound.
        waiting: how many claims wait for its end.

    Raises:
        Conflict: the lease is ending.
    """
    if lease.target is Target.ENDED:
        raise Conflict(f"this lease is over: {lease.why or 'it has ended'}")
    if waiting:
        return Renewal(lease, RenewalOutcome.OTHERS_WAIT, _others_wait(lease, waiting, now))
    if longest is not None and duration > longest:
        return _shortened(lease, duration, now, longest)
    if now + duration <= lease.ends_at:
        left = format_duration(lease.ends_at - now)
        text = f"It ends in {left}, which is no earlier than you asked for: nothing was changed."
        return Renewal(lease, RenewalOutcome.LATER_ALREADY, text)
    text = f"It now ends in {format_duration(duration)}."
    return Renewal(_until(lease, now + duration), RenewalOutcome.RENEWED, text)


def _shortened(lease: Lease, duration: timedelta, now: datetime, longest: timedelta) -> Renewal:
    most = format_duration(longest)
    if now + longest - lease.ends_at < WORTH:
        left = format_duration(lease.ends_at - now)
        text = f"It ends in {left}, and {most} from now is the most: extend it nearer to its end."
        return Renewal(lease, RenewalOutcome.AT_MAXIMUM, text)
    asked = format_duration(duration)
    text = f"You asked for {asked}; the longest you may ask for is {most}: it now ends in {most}."
    return Renewal(_until(lease, now + longest), RenewalOutcome.SHORTENED, text)


def _until(lease: Lease, end: datetime) -> Lease:
    return replace(lease, ends_at=end, warned_at=None)


def _others_wait(lease: Lease, waiting: int, now: datetime) -> str:
    left = lease.ends_at - now
    when = f"it ends in {format_duration(left)}" if left > timedelta(0) else "its time is over"
    return f"{waiting} waiting for this flavor: it cannot be extended now; {when}."
