"""Waiting in tests: until something is so, or a deadline has passed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
PAUSE_S = 0.05


def wait_until(look: Callable[[], T], *, within_s: float, what: str) -> T:
    """Looks again and again until it sees something true, and gives that back.

    Args:
        look: What is looked at.
        within_s: Seconds after which the test fails.
        what: What was waited for, for the failure's text.
    """
    deadline = time.monotonic() + within_s
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s:g} s: {what}")
        pause(PAUSE_S)
    return seen


def pause(seconds: float) -> None:
    """Lets other processes run for a moment between two looks."""
    threading.Event().wait(seconds)
