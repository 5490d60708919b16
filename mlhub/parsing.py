"""Parsers of `core` in pydantic models: what they refuse is reported with its place in the file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pydantic_core import PydanticCustomError

from mlhub.core.errors import BadInput

T = TypeVar("T")


def in_our_words(parse: Callable[[Any], T], value: object) -> T:
    """The parsed value, or a finding in the words of the error that `core` raises.

    Args:
        parse: raises `BadInput` for what it does not take.
        value: as it stands in the file.

    Raises:
        PydanticCustomError: the same finding, for pydantic to add the place.
    """
    try:
        return parse(value)
    except BadInput as error:
        facts = {"problem": error.problem, "remedy": error.remedy}
        raise PydanticCustomError("bad_input", "{problem} ({remedy})", facts) from error


def as_text(value: object) -> str | int | float:
    """Lists and mappings as text, so that a parser refuses them in its own words."""
    return value if isinstance(value, str | int | float) else str(value)
