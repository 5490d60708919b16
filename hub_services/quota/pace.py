"""How often one user may ask for changes: a token bucket for each, so that none starves others."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from hub_services.quota.problems import Problem

BURST: Final = 60
PER_SECOND: Final = 2.0
MOST_KEPT: Final = 10_000  # users whose bucket is kept, before those that are full are dropped


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


class Pace:
    """Counts requests that change something, by user.

    Args:
        burst: so many at once.
        per_second: so many are given back every second.
        monotonic: seconds of a clock that nobody sets.
    """

    def __init__(
        self,
        burst: int = BURST,
        per_second: float = PER_SECOND,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.burst = burst
        self.per_second = per_second
        self._monotonic = monotonic
        self._buckets: dict[str, _Bucket] = {}

    def count(self, user: str) -> None:
        """One more request of this user.

        Raises:
            Problem: there were too many; it says when to ask again.
        """
        now = self._monotonic()
        bucket = self._buckets.get(user)
        left = self._left(bucket, now) if bucket else float(self.burst)
        if left < 1:
            raise self._too_many((1 - left) / self.per_second)
        if bucket is None and len(self._buckets) >= MOST_KEPT:
            self._drop_full(now)
        self._buckets[user] = _Bucket(left - 1, now)

    def _left(self, bucket: _Bucket, now: float) -> float:
        return min(self.burst, bucket.left + (now - bucket.at) * self.per_second)

    def _drop_full(self, now: float) -> None:
        """Forget those who asked for nothing lately: a full bucket is as good as none."""
        kept = {
            name: row for name, row in self._buckets.items() if self._left(row, now) < self.burst
        }
        self._buckets = kept

    def _too_many(self, seconds: float) -> Problem:
        text = (
            f"You asked for changes {self.burst} times in a row; {self.per_second:g} a second are "
            "allowed. Nothing was changed. Wait a moment, and ask less often."
        )
        facts = {"limit": self.burst, "used": self.burst, "unit": "requests"}
        wait = max(1, math.ceil(seconds))
        return Problem(429, "too-many-requests", text, "Too many requests", facts, retry_after=wait)
