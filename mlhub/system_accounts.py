"""Which OS accounts are people's and which are the system's: nobody works as one of those."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

FIRST_PERSONAL_ID: Final = 1000
NOBODY: Final = 65_534


def is_personal_id(number: int) -> bool:
    """Whether an account or a group of that number is made for people."""
    return FIRST_PERSONAL_ID <= number != NOBODY


def system_problem(name: str, uid: int, *, allowed: Collection[str]) -> str | None:
    """Says that an account is the system's; None: it is a person's, or allowed all the same.

    Args:
        name: Of the account.
        uid: Its number; 0 is never allowed.
        allowed: Accounts of the system that people may work as.
    """
    if uid != 0 and (is_personal_id(uid) or name in allowed):
        return None
    return f"'{name}' is an account of the system (uid {uid}), not of a person"
