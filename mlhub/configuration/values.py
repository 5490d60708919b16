"""The kinds of value that mlhub.yaml has: durations, amounts of memory, names, paths."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from mlhub.core.devices import MigProfile
from mlhub.core.quantities import format_duration, format_memory, parse_duration, parse_memory
from mlhub.parsing import as_text, in_our_words


class Section(BaseModel):
    """What every section shares: an unknown key is an error, and values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def _duration(value: object) -> timedelta:
    return value if isinstance(value, timedelta) else in_our_words(parse_duration, as_text(value))


def _memory(value: object) -> int:
    return in_our_words(parse_memory, as_text(value))


def _longer_than_nothing(span: timedelta) -> timedelta:
    if span <= timedelta(0):
        facts = {"problem": "it must be longer than nothing", "remedy": "write for example 8h"}
        raise PydanticCustomError("bad_input", "{problem} ({remedy})", facts)
    return span


def _mig_profile(name: str) -> str:
    return in_our_words(MigProfile, name).name


def _from_the_file(path: Path, info: ValidationInfo) -> Path:
    """A relative path counts from the directory of the file that names it."""
    base = (info.context or {}).get("directory")
    path = path.expanduser()
    return path if base is None or path.is_absolute() else Path(base) / path


def spelled(pattern: str, words: str) -> Any:
    """Metadata of a text that must match a pattern; `words` say it to people."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            facts = {"problem": f"{text[:40]!r} is not spelled right", "remedy": words}
            raise PydanticCustomError("bad_input", "{problem} ({remedy})", facts)
        return text

    return [AfterValidator(check), WithJsonSchema({"type": "string", "pattern": f"^{pattern}$"})]


NAME, NAME_WORDS = r"[a-z0-9][a-z0-9.-]{0,62}", "use small letters, digits, '-' and '.'"

Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema(
        {
            "type": ["string", "number"],
            "pattern": r"^(\s*\d+(\.\d+)?\s*(min|[smhdw])\s*)+$",
            "minimum": 0,
            "examples": ["30min", "8h", "1h30m", "2d"],
        }
    ),
]
SomeTime = Annotated[Duration, AfterValidator(_longer_than_nothing)]
Memory = Annotated[
    int,
    BeforeValidator(_memory),
    PlainSerializer(format_memory, return_type=str),
    WithJsonSchema(
        {
            "type": ["string", "integer"],
            "pattern": r"^\s*\d+(\.\d+)?\s*[A-Za-z]*\s*$",
            "minimum": 0,
            "examples": ["80 GiB", "16G", 81920],
        }
    ),
]
FlavorName = Annotated[str, *spelled(NAME, NAME_WORDS)]
MigProfileName = Annotated[str, AfterValidator(_mig_profile)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=255, strip_whitespace=True)]
LongText = Annotated[str, StringConstraints(max_length=4000)]
FilePath = Annotated[Path, AfterValidator(_from_the_file)]
Variable = Annotated[
    str, *spelled(r"[A-Za-z_][A-Za-z0-9_]*", "name an environment variable, without $")
]
