"""How busy each device was in the last hour: one sample a minute, in memory only."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from mlhub.broker.ports import DeviceLoad

EVERY: Final = timedelta(minutes=1)
KEPT: Final = timedelta(hours=1)
SAMPLES: Final = KEPT // EVERY


@dataclass(frozen=True, slots=True)
class Sample:
    """How busy a device was at an instant: percent; None where nobody could say."""

    at: datetime
    utilisation: float | None


@dataclass(slots=True)
class Recent:
    """The samples of the last hour, by device."""

    samples: dict[str, deque[Sample]] = field(default_factory=dict)
    last: datetime | None = None

    def note(self, loads: Mapping[str, DeviceLoad], now: datetime) -> bool:
        """Keep what was seen, unless the last sample is less than a minute old.

        A look that failed says nothing: what is known stays until it is an hour old.
        """
        if self.last is not None and timedelta() <= now - self.last < EVERY:
            return False
        if not loads:
            return False
        self.last = now
        self.samples = {
            uuid: rows for uuid, rows in self.samples.items() if now - rows[-1].at < KEPT
        }
        for uuid, load in loads.items():
            rows = self.samples.setdefault(uuid, deque(maxlen=SAMPLES))
            rows.append(Sample(now, load.utilisation))
        return True

    def of(self, uuid: str, *, since: datetime, now: datetime) -> list[float | None]:
        """The percentages of a device within the last hour, oldest first.

        Nothing from before `since` is told: another one may have held the device then.
        """
        first = max(since, now - KEPT)
        return [row.utilisation for row in self.samples.get(uuid, ()) if first <= row.at <= now]
