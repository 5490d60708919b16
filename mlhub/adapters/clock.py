"""The machine's clocks, and those of tests and simulations: the one module that reads the time."""

from __future__ import annotations

import logging
import math
import time
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Final

import psutil

log = logging.getLogger(__name__)

BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
# Where there is no CLOCK_BOOTTIME (macOS), time asleep is not counted.
TICKING: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
SAME_READING: Final = 0.1  # seconds


class SystemClock:
    """The real clocks of this machine."""

    simulated = False

    def now(self) -> datetime:
        """The wall clock: aware, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since the machine's start, sleep included."""
        return time.clock_gettime(TICKING)

    def boot(self) -> str:
        """The kernel's id of this start; where there is none, when it was."""
        return _boot_id(BOOT_ID)


@cache
def _boot_id(file: Path) -> str:
    """Read once: no process outlives its machine's start, and every request asks for it."""
    try:
        return file.read_text().strip()
    except OSError:
        return f"started-{psutil.boot_time():.0f}"


class FileClock(SystemClock):
    """The machine's clocks, moved on by what a file says, for simulations.

    The file holds one or two numbers of seconds. The first moves both clocks, as if that time had
    passed; it may only grow. The second moves the wall clock alone, as if somebody had set it.
    Without a file nothing is moved; one that cannot be understood keeps what was read last.
    """

    simulated = True

    def __init__(self, path: Path) -> None:
        self.path = path
        self._passed = 0.0
        self._stepped = 0.0
        self._read_at = -math.inf

    def now(self) -> datetime:
        """The wall clock, moved by both numbers."""
        self._read()
        return super().now() + timedelta(seconds=self._passed + self._stepped)

    def monotonic(self) -> float:
        """Seconds since the machine's start, moved by the first number."""
        # Right after `now` the file is not read again: had it changed in between, the two clocks
        # of one anchor would disagree, which means that somebody set the wall clock.
        if super().monotonic() - self._read_at > SAME_READING:
            self._read()
        return super().monotonic() + self._passed

    def _read(self) -> None:
        self._read_at = super().monotonic()
        try:
            numbers = [float(word) for word in self.path.read_text().split()]
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            log.warning("the clock file %s is not understood: %s", self.path, error)
            return
        if numbers and all(map(math.isfinite, numbers)):
            self._passed = max(self._passed, numbers[0])
            self._stepped = numbers[1] if len(numbers) > 1 else 0.0


class ManualClock:
    """Clocks that stand still until they are moved."""

    simulated = True

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._wall = start
        self._ticks = 1000.0
        self._boots = 1

    def now(self) -> datetime:
        """The wall clock: aware, UTC."""
        return self._wall

    def monotonic(self) -> float:
        """Seconds since the imagined start."""
        return self._ticks

    def boot(self) -> str:
        """Another one after each `reboot`."""
        return f"boot-{self._boots}"

    def advance(self, span: timedelta) -> None:
        """Let time pass: both clocks move."""
        self._wall += span
        self._ticks += span.total_seconds()

    def step(self, span: timedelta) -> None:
        """Set the wall clock forward or back; no time passes."""
        self._wall += span

    def reboot(self) -> None:
        """Start the machine anew: the monotonic clock begins at zero."""
        self._ticks = 0.0
        self._boots += 1
