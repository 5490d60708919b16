"""How times, amounts and devices are said on pages: filters of the templates."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from jinja2 import Environment
from markupsafe import Markup

from hub_services.quota.answers import ForecastView
from mlhub.core.quantities import format_duration, format_memory, ordinal, plural

STATES: Final = {
    "free": "free",
    "held": "in use",
    "kept": "kept for the queue",
    "out-of-service": "out of service",
}


def install(environment: Environment) -> None:
    """Make every filter known to the templates."""
    environment.filters.update(
        clock=clock, memory=format_memory, ordinal=ordinal, about=about, span=span, state=state,
        plural=plural, percent=percent,
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
    soonest, expected, latest = (
        format_duration(at - now) for at in (coming.soonest, coming.expected, coming.latest)
    )
    if soonest == latest:
        return f"about {expected}"
    return f"about {expected}, likely {soonest} to {latest}"


def span(seconds: float | None) -> str:
    """A duration in words."""
    return "no bound" if seconds is None else format_duration(timedelta(seconds=seconds))


def state(word: str) -> str:
    """A device's state in words."""
    return STATES.get(word, word)


def percent(value: float | None) -> str:
    """``12 %``, or that it is not known."""
    return "not known" if value is None else f"{value:.0f} %"


def share(used: int, limit: int | None) -> dict[str, Any]:
    """A bar: how much of a limit is used."""
    full = 0 if not limit else min(100, round(100 * used / limit))
    return {
        "used": used,
        "limit": limit,
        "percent": full,
        "full": limit is not None and used >= limit,
    }
