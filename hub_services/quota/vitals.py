"""How the service itself is: what /readyz says, and what makes the process give up."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Final

STALE_SWEEP: Final = 15.0  # seconds without a sweep that went through
STALE_INVENTORY: Final = 60.0  # seconds after which devices are not given out either


@dataclass(slots=True)
class Vitals:
    """Signs of life of one service.

    Attributes:
        owner: whether this process owns the ledger.
        swept_at: when the last sweep went through, by the monotonic clock.
        trouble: what stopped the last sweep, "" if nothing did.
        fenced: set when another process has become the ledger's owner: this one has to go.
    """

    owner: bool = False
    swept_at: float | None = None
    trouble: str = ""
    fenced: asyncio.Event = field(default_factory=asyncio.Event)

    def swept(self) -> None:
        """A sweep went through."""
        self.swept_at = time.monotonic()
        self.trouble = ""

    @property
    def sweep_age(self) -> float | None:
        """Seconds since a sweep went through; None before the first."""
        return None if self.swept_at is None else time.monotonic() - self.swept_at

    def reasons(self, inventory_age: float | None) -> list[str]:
        """Why the service is not ready; empty when it is."""
        checks = (
            (not self.owner, "this process does not own the ledger"),
            (bool(self.trouble), f"the last sweep failed: {self.trouble}"),
            (_old(self.sweep_age, STALE_SWEEP), "no sweep went through lately"),
            (_old(inventory_age, STALE_INVENTORY), "the GPUs have not answered lately"),
        )
        return [text for bad, text in checks if bad]


def _old(age: float | None, most: float) -> bool:
    return age is None or age > most
