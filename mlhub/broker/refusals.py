"""What was refused lately: recorded once, and its repeats counted, so that no loop fills a disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from mlhub.core.ledger import AuditRecord

WINDOW: Final = 60.0  # seconds in which the same refusal of the same asker is one line
Kind = tuple[str, str, str]


@dataclass(slots=True, eq=False)
class _Burst:
    """The refusals of one kind within one window.

    Attributes:
        record: of the last one.
        by: whose line is or will be the first one's; None when that was not kept.
        more: how many came after the first and are not in the audit yet.
    """

    kind: Kind
    record: AuditRecord
    since: float
    by: Refusal | None = None
    more: int = 0


@dataclass(frozen=True, slots=True)
class Repeats:
    """How often was refused again what was refused before, up to now."""

    burst: _Burst
    number: int

    def record(self, at: datetime) -> AuditRecord:
        """The line for the audit."""
        times = "once more" if self.number == 1 else f"{self.number} times more"
        last = self.burst.record
        return replace(last, at=at, detail=f"{times} within a minute, the last time: {last.detail}")


class Refusals:
    """Who was refused what within the last minute.

    The first refusal of a kind is recorded at once. Those that follow within a minute are one
    further record, with their number, when the minute is over. Nothing counts as recorded before
    its transaction was kept.

    Args:
        monotonic: seconds of a clock that nobody sets.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._running: dict[Kind, _Burst] = {}
        self._over: list[_Burst] = []

    @contextmanager
    def refusal(self) -> Iterator[Refusal]:
        """What may become a refusal: it counts when the block ends well, else it never was."""
        one = Refusal(self)
        try:
            yield one
        except BaseException:
            one.withdraw()
            raise
        one.keep()

    def burst(self, record: AuditRecord, why: str) -> _Burst:
        """The burst that a refusal belongs to, a new one if none runs."""
        kind, now = (record.actor, record.action, why), self._monotonic()
        running = self._running.get(kind)
        if running is not None and now - running.since < WINDOW:
            return running
        if running is not None and running.more:
            self._over.append(running)
        self._running[kind] = _Burst(kind, record, now)
        return self._running[kind]

    def count(self, burst: _Burst, record: AuditRecord) -> None:
        """One more of a burst, be its minute over or not."""
        burst.record, burst.more = record, burst.more + 1
        if self._running.get(burst.kind) is not burst and burst not in self._over:
            self._over.append(burst)

    def due(self, *, all_of_them: bool = False) -> list[Repeats]:
        """The repeats whose minute is over; they stay due until they are `recorded`.

        Args:
            all_of_them: also those whose minute still runs, as at the service's end.
        """
        oldest = self._monotonic() - WINDOW
        for kind, burst in list(self._running.items()):
            if all_of_them or burst.since <= oldest:
                del self._running[kind]
                self._over += [burst] if burst.more else []
        return [Repeats(burst, burst.more) for burst in self._over]

    def recorded(self, repeats: Iterable[Repeats]) -> None:
        """These repeats are in the audit."""
        for row in repeats:
            row.burst.more -= row.number
        self._over = [burst for burst in self._over if burst.more]


class Refusal:
    """One refusal, of a transaction that may be tried again, and may fail in the end."""

    def __init__(self, refusals: Refusals) -> None:
        self._refusals = refusals
        self._noted: tuple[_Burst, AuditRecord] | None = None

    def note(self, record: AuditRecord, why: str) -> tuple[AuditRecord, ...]:
        """The record if it is the first of its kind, else nothing: it will be counted.

        Args:
            record: what would be written of this refusal.
            why: a word for the reason; texts differ, words do not.
        """
        self.withdraw()
        burst = self._refusals.burst(record, why)
        self._noted = burst, record
        if burst.by is None:
            burst.by = self
        return (record,) if burst.by is self else ()

    def withdraw(self) -> None:
        """What was noted is not to be: the next of its kind is the first one."""
        if self._noted and self._noted[0].by is self:
            self._noted[0].by = None
        self._noted = None

    def keep(self) -> None:
        """What was noted is in the ledger: unless it is the first of its kind, it is counted."""
        if self._noted and self._noted[0].by is not self:
            self._refusals.count(*self._noted)
        self._noted = None
