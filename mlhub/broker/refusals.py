"""What was refused lately: recorded once, and its repeats counted, so that no loop fills a disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from mlhub.core.ledger import AuditRecord

WINDOW: Final = 60.0  # seconds in which the same refusal of the same asker is one line
Kind = tuple[str, str, str]


@dataclass(slots=True)
class _Burst:
    """The refusals of one kind within one window."""

    record: AuditRecord
    mark: str
    since: float
    more: int = 0


class Refusals:
    """Who was refused what within the last minute.

    The first refusal of a kind is recorded at once. Those that follow within a minute are one
    further record, with their number, when the minute is over.

    Args:
        monotonic: seconds of a clock that nobody sets.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._bursts: dict[Kind, _Burst] = {}
        self._over: list[_Burst] = []

    def note(self, record: AuditRecord, why: str, mark: str) -> tuple[AuditRecord, ...]:
        """The record if it is the first of its kind, else nothing: it is counted.

        Args:
            record: what would be written of this refusal.
            why: a word for the reason; texts differ, words do not.
            mark: what identifies this refusal. The same one may be noted again, as a transaction
                that is tried again does, and gets the same answer.
        """
        kind, now = (record.actor, record.action, why), self._monotonic()
        burst = self._bursts.get(kind)
        if burst is not None and now - burst.since >= WINDOW:
            self._over.append(self._bursts.pop(kind))
            burst = None
        if burst is None or burst.mark == mark:
            self._bursts[kind] = burst or _Burst(record, mark, now)
            return (record,)
        burst.record = record
        burst.more += 1
        return ()

    def due(self, now: datetime, *, all_of_them: bool = False) -> tuple[AuditRecord, ...]:
        """Records of the repeats whose minute is over; they are not given a second time.

        Args:
            now: the ledger's time.
            all_of_them: also of those whose minute still runs, as at the service's end.
        """
        oldest = self._monotonic() - WINDOW
        ended = [key for key, row in self._bursts.items() if all_of_them or row.since <= oldest]
        over = self._over + [self._bursts.pop(key) for key in ended]
        self._over = []
        return tuple(_counted(burst, now) for burst in over if burst.more)


def _counted(burst: _Burst, now: datetime) -> AuditRecord:
    times = "once more" if burst.more == 1 else f"{burst.more} times more"
    text = f"{times} within a minute, the last time: {burst.record.detail}"
    return replace(burst.record, at=now, detail=text)
