"""Which OS accounts are people's and which are the system's: nobody works as one of those."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Final

LOGIN_DEFS: Final = Path("/etc/login.defs")
USUAL_FIRST_ID: Final = 1000
NOBODY: Final = 65_534


def first_personal_uid() -> int:
    """The lowest number of a person's account: the machine's own `UID_MIN`, usually 1000."""
    return _first(LOGIN_DEFS, "UID_MIN")


def first_personal_gid() -> int:
    """The lowest number of a group that is people's: the machine's own `GID_MIN`, usually 1000."""
    return _first(LOGIN_DEFS, "GID_MIN")


@cache
def _first(file: Path, setting: str) -> int:
    try:
        rows = [row.split() for row in file.read_text(errors="replace").splitlines()]
        found = [int(row[1]) for row in rows if len(row) > 1 and row[0] == setting]
    except (OSError, ValueError):
        return USUAL_FIRST_ID
    return found[-1] if found and found[-1] > 0 else USUAL_FIRST_ID


def is_personal_uid(number: int) -> bool:
    """Whether an account of that number is made for people."""
    return first_personal_uid() <= number != NOBODY


def is_personal_gid(number: int) -> bool:
    """Whether a group of that number is made for people."""
    return first_personal_gid() <= number != NOBODY


def system_problem(name: str, uid: int, *, allowed: Collection[str]) -> str | None:
    """Says that an account is the system's; None: it is a person's, or allowed all the same.

    Args:
        name: Of the account.
        uid: Its number; 0 is never allowed.
        allowed: Accounts of the system that people may work as.
    """
    if uid != 0 and (is_personal_uid(uid) or name in allowed):
        return None
    return f"'{name}' is an account of the system (uid {uid}), not of a person"
