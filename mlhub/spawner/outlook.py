"""Availability in words and cells, the same here as in templates/outlook.js."""

from __future__ import annotations

import re
from collections import Counter
from datetime import datetime
from typing import Final

from mlhub.client import FlavorView
from mlhub.core.decisions import Forecast
from mlhub.core.quantities import format_outlook, format_wait

CELLS: Final = 12
"""More devices than these are drawn as shares of so many cells."""
MINUTES: Final = re.compile(r"likely (\d+) min to (\d+ min)$")
STATES: Final = ("held", "kept", "free", "out")


def free_text(flavor: FlavorView) -> str:
    """``"1 of 4 free, 1 kept for the queue, 1 out of service"``."""
    parts = [f"{flavor.free - flavor.kept} of {flavor.total} free"]
    if flavor.kept:
        parts.append(f"{flavor.kept} kept for the queue")
    if flavor.out_of_service:
        parts.append(f"{flavor.out_of_service} out of service")
    return ", ".join(parts)


def wait_text(flavor: FlavorView, now: datetime) -> str:
    """``"starts now"``, or who waits and how long it takes."""
    if flavor.total == flavor.out_of_service:
        return "out of service"
    if flavor.now:
        return "starts now"
    waiting = f"{flavor.waiting} waiting" if flavor.waiting else ""
    likely = _range_text(flavor.expected, now)
    return ", ".join(part for part in (waiting, likely) if part) or "none free now"


def about_text(forecast: Forecast | None, now: datetime) -> str:
    """``"about 25 min"``; "" when nothing is known."""
    return format_wait(forecast.expected - now) if forecast else ""


def _range_text(forecast: Forecast | None, now: datetime) -> str:
    if forecast is None:
        return ""
    spans = (forecast.expected - now, forecast.soonest - now, forecast.latest - now)
    return MINUTES.sub(r"likely \1–\2", format_outlook(*spans))


def price_text(flavor: FlavorView) -> str:
    """Credits for one device and hour; "" where it costs nothing."""
    return f"{flavor.price:.2f} /h" if flavor.price else ""


def memory_text(flavor: FlavorView) -> str:
    """What one device has and how it is shared; "" when nothing is known."""
    gib = f"{flavor.memory_mib / 1024:.0f} GiB" if flavor.memory_mib else ""
    shared = {"time-slicing": "shared in turns", "mps": "shared"}.get(flavor.sharing, "")
    return ", ".join(part for part in (gib, shared) if part)


def cells(flavor: FlavorView) -> list[str]:
    """The states of the devices as a row of cells, held ones first."""
    counts = Counter(
        held=flavor.held,
        kept=flavor.kept,
        free=flavor.free - flavor.kept,
        out=flavor.out_of_service,
    )
    total = sum(counts.values())
    if total > CELLS:
        shares = {state: max(1, round(counts[state] * CELLS / total)) for state in +counts}
        most = max(shares, key=lambda state: (counts[state], -STATES.index(state)))
        counts = Counter(shares | {most: CELLS - sum(shares.values()) + shares[most]})
    return [state for state in STATES for _ in range(counts[state])]
