"""The one home of units: memory, durations, GPU-hours, credits: parse, format, arithmetic."""

import math
import re
from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from mlhub.core.errors import BadInput

MIB_PER_GIB: Final = 1024

_MEMORY: Final = {
    "": 1 / (1024 * 1024), "b": 1 / (1024 * 1024),
    "k": 1000 / (1024 * 1024), "ki": 1 / 1024, "kib": 1 / 1024, "kb": 1000 / (1024 * 1024),
    "m": 1000**2 / 1024**2, "mi": 1.0, "mib": 1.0, "mb": 1000**2 / 1024**2,
    "g": 1000**3 / 1024**2, "gi": 1024.0, "gib": 1024.0, "gb": 1000**3 / 1024**2,
    "t": 1000**4 / 1024**2, "ti": 1024.0**2, "tib": 1024.0**2, "tb": 1000**4 / 1024**2,
}  # fmt: skip
_SECONDS: Final = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_AMOUNT: Final = re.compile(r"\s*(\d{1,15}(?:\.\d{1,6})?)\s*([A-Za-z]*)\s*")
_DURATION_PART: Final = re.compile(r"\s*(\d{1,9}(?:\.\d{1,6})?)\s*(min|[smhdw])\s*")
_LONGEST: Final = timedelta(days=3650)


def parse_memory(text: str | int, *, field: str = "memory") -> int:
    """MiB from ``"80 GiB"``, ``"40960Mi"``, ``"16G"`` (decimal, as Kubernetes has it) or plain MiB.

    Raises:
        BadInput: it is not an amount of memory.
    """
    if isinstance(text, int) and not isinstance(text, bool):
        if text < 0:
            raise BadInput(field, f"{text} is negative", "write an amount such as 80 GiB")
        return text
    match = _AMOUNT.fullmatch(str(text))
    factor = _MEMORY.get(match[2].lower()) if match else None
    if match is None or factor is None:
        shown = str(text)[:40]
        raise BadInput(field, f"{shown!r} is not an amount of memory", "write for example 80 GiB")
    return round(float(match[1]) * factor)


def format_memory(mib: int) -> str:
    """``"80 GiB"`` or ``"512 MiB"``: whole GiB where it is at least one."""
    if mib >= MIB_PER_GIB:
        gib = mib / MIB_PER_GIB
        return f"{gib:.0f} GiB" if abs(gib - round(gib)) < 0.05 else f"{gib:.1f} GiB"
    return f"{mib} MiB"


def parse_duration(text: str | int | float, *, field: str = "duration") -> timedelta:
    """A duration from ``"8h"``, ``"1h30m"``, ``"2 d"``, ``"90min"`` or a number of seconds.

    Raises:
        BadInput: it is no duration, is negative, or is longer than ten years.
    """
    total = _seconds_in(text)
    if total is None or total < 0 or total > _LONGEST.total_seconds():
        shown = str(text)[:40]
        raise BadInput(field, f"{shown!r} is not a duration", "write for example 8h or 1h30m")
    return timedelta(seconds=total)


def _seconds_in(text: str | int | float) -> float | None:
    if isinstance(text, bool):
        return None
    if isinstance(text, int | float):
        return None if math.isnan(text) else float(text)
    at, total = 0, 0.0
    while at < len(text) and (part := _DURATION_PART.match(text, at)):
        total += float(part[1]) * _SECONDS[part[2]]
        at = part.end()
    return total if text.strip() and at == len(text) else None


def format_duration(span: timedelta) -> str:
    """Words for people: ``"12 min"``, ``"8 h"``, ``"2 d 4 h"``; at most two units."""
    seconds = max(0, round(span.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    days, rest = divmod(minutes, 1440)
    hours, minutes = divmod(rest, 60)
    if days:
        return f"{days} d {hours} h" if hours else f"{days} d"
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def format_wait(span: timedelta) -> str:
    """A wait in words: ``"about 12 min"``, and ``"less than a minute"`` where it is as short."""
    return "less than a minute" if _short(span) else f"about {format_duration(span)}"


def format_range(low: timedelta, high: timedelta) -> str:
    """How long a wait may be: ``"5 min to 20 min"``, ``"up to 20 min"``; "" if that is no range."""
    least, most = format_duration(low), format_duration(high)
    if least == most or _short(high):
        return ""
    return f"up to {most}" if _short(low) else f"{least} to {most}"


def format_outlook(expected: timedelta, low: timedelta, high: timedelta) -> str:
    """A wait with its range: ``"about 12 min, likely 5 min to 20 min"``."""
    wait, likely = format_wait(expected), format_range(low, high)
    return f"{wait}, likely {likely}" if likely else wait


def _short(span: timedelta) -> bool:
    return round(span.total_seconds()) < 60


def gpu_hours(devices: int, span: timedelta) -> Decimal:
    """Device-hours: ``devices`` held for ``span``, to a millionth of an hour."""
    exact = Decimal(devices) * Decimal(str(span.total_seconds())) / Decimal(3600)
    return exact.quantize(Decimal("0.000001"), rounding=ROUND_HALF_UP)


def plural(number: int, word: str) -> str:
    """``"1 GPU"``, ``"2 GPUs"``."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def ordinal(number: int) -> str:
    """``"1st"``, ``"2nd"``, ``"3rd"``, ``"11th"``."""
    if 10 <= number % 100 <= 20:
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"
