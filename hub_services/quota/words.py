"""How times, amounts and devices are said on pages: filters of the templates."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from jinja2 import Environment
from markupsafe import Markup

from hub_services.quota.answers import ForecastView
from mlhub.core.quantities import (
    format_duration,
    format_memory,
    format_outlook,
    ordinal,
    plural,
)

STATES: Final = {
    "free": "free",
    "held": "in use",
    "kept": "kept for the queue",
    "out-of-service": "out of service",
}

DEEDS: Final = {
    "queued": "joined the queue",
    "joined": "took the GPU that was kept",
    "granted": "gave a GPU",
    "active": "saw the server run",
    "used": "saw the owner come",
    "renewed": "let it end later",
    "warned": "warned the holder",
    "extended": "let it go on: nobody waits",
    "ending": "stops the server",
    "ended": "saw the end",
    "cancelled": "left the queue",
    "denied": "was refused",
    "refused": "was refused",
}


def install(environment: Environment) -> None:
    """Make every filter known to the templates."""
    environment.filters.update(
        clock=clock, memory=format_memory, ordinal=ordinal, about=about, span=span, state=state,
        plural=plural, percent=percent, use_text=use_text, did=did, bars=bars,
    )  # fmt: skip


def clock(at: datetime | None) -> Markup:
    """A time: in UTC as it stands, local and relative once the page's script has run."""
    if at is None:
        return Markup("–")
    text = f"{at:%Y-%m-%d %H:%M} UTC"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(at.isoformat(), text, text)


def about(coming: ForecastView | None, now: datetime) -> str:
    """When something can be expected: ``about 12 min, likely 5 min to 20 min``."""
    if coming is None:
        return "when one will be free is not known"
    return format_outlook(coming.expected - now, coming.soonest - now, coming.latest - now)


def span(seconds: float | None) -> str:
    """A duration in words."""
    return "no bound" if seconds is None else format_duration(timedelta(seconds=seconds))


def state(word: str) -> str:
    """A device's state in words."""
    return STATES.get(word, word)


def percent(value: float | None) -> str:
    """``12 %``, or that it is not known."""
    return "not known" if value is None else f"{value:.0f} %"


def use_text(percents: Sequence[float | None]) -> str:
    """The use of a device over some minutes, a number for each, as a sentence's part."""
    known = [value for value in percents if value is not None]
    if not percents:
        return "no look at its use yet"
    if not known:
        return "how busy it was is not known"
    mean, most = sum(known) / len(known), max(known)
    return f"in the last {len(percents)} min {mean:.0f} % on average, {most:.0f} % at most"


def bars(percents: Sequence[float | None], *, most: int = 60) -> list[tuple[int, float, bool]]:
    """A picture of those numbers: place, height from 0 to 100 and whether it is known, by minute.

    The latest stands at the right end of `most` places.
    """
    first = most - len(percents)
    return [
        (first + index, 4.0 if value is None else max(4.0, value), value is not None)
        for index, value in enumerate(percents)
    ]


def did(action: str) -> str:
    """What a record of the audit says was done, in words."""
    return DEEDS.get(action, action)


def share(used: int, limit: int | None) -> dict[str, Any]:
    """A bar: how much of a limit is used."""
    full = 0 if not limit else min(100, round(100 * used / limit))
    return {
        "used": used,
        "limit": limit,
        "percent": full,
        "full": limit is not None and used >= limit,
    }
