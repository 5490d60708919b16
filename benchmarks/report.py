"""How a benchmark says what it found: progress on stderr, one JSON object on the last line."""

from __future__ import annotations

import json
import os
import platform
import sys
from typing import Any


def progress(text: str) -> None:
    """One line for whoever watches."""
    print(text, file=sys.stderr, flush=True)


def finish(figures: dict[str, Any]) -> None:
    """Print the figures, with what they were measured on, as the last line."""
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    print(json.dumps({**figures, "machine": machine}), flush=True)


def percentile(values: list[float], share: float) -> float:
    """The value below which that share of the values lies (nearest rank)."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, max(0, round(share * len(ranked)) - 1))]
