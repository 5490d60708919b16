"""What `mlhub doctor` finds: a value for each thing looked at, with the remedy for what is bad."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How a thing stands."""

    OK = "ok"
    NOTE = "note"  # to be known, nothing to be done
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Found:
    """One thing that was looked at.

    Attributes:
        about: what it is, in few words; the same at each run.
        level: how it stands.
        detail: what was seen.
        remedy: what to do; "" when there is nothing to do.
    """

    about: str
    level: Level
    detail: str = ""
    remedy: str = ""


def good(about: str, detail: str = "") -> Found:
    """A thing as it should be."""
    return Found(about, Level.OK, detail)


def bad(about: str, detail: str, remedy: str) -> Found:
    """A thing that somebody has to do something about."""
    return Found(about, Level.PROBLEM, detail, remedy)
