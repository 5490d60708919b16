"""Pydantic's errors in the words of the person who wrote the file."""

from __future__ import annotations

from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from mlhub.configuration.problems import Path, Problem
from mlhub.configuration.schema import belongs_under, known_keys, nearest

MOST_SHOWN: Final = 40  # characters of a value that are repeated
SECTION_WORDS: Final = "This must be a section: `key: value` lines below it."
LIST_WORDS: Final = "This must be a list: lines that begin with `- `."
WORDS: Final = {
    "int_parsing": "This must be a whole number.",
    "int_type": "This must be a whole number.",
    "int_from_float": "This must be a whole number.",
    "bool_parsing": "This must be true or false.",
    "bool_type": "This must be true or false.",
    "string_type": "This must be text; put it in quotes.",
    "decimal_parsing": "This must be a number.",
    "decimal_type": "This must be a number.",
    "float_parsing": "This must be a number.",
    "dict_type": SECTION_WORDS,
    "model_type": SECTION_WORDS,
    "model_attributes_type": SECTION_WORDS,
    "list_type": LIST_WORDS,
    "tuple_type": LIST_WORDS,
    "frozen_set_type": LIST_WORDS,
    "path_type": "This must be a path.",
}
BOUNDS: Final = {
    "greater_than_equal": ("at least", "ge"),
    "less_than_equal": ("at most", "le"),
    "greater_than": ("more than", "gt"),
    "less_than": ("less than", "lt"),
}


def explain(error: ValidationError, data: Any) -> list[Problem]:
    """One problem for each path that pydantic complains of."""
    found: dict[Path, Problem] = {}
    for details in error.errors(include_url=False, include_input=False):
        path = _document_path(details, data)
        found.setdefault(path, _problem(details, path, data))
    return list(found.values())


def _document_path(details: ErrorDetails, data: Any) -> Path:
    """Where in the document: pydantic's path without the names of its alternatives."""
    path: list[str | int] = []
    parts = details["loc"]
    for number, part in enumerate(parts, 1):
        last = number == len(parts)
        if _has(data, part):
            data = data[part]
            path.append(part)
        elif last and details["type"] in {"missing", "extra_forbidden"}:
            path.append(part)
    return tuple(path)


def _has(data: Any, part: str | int) -> bool:
    if isinstance(data, dict):
        return part in data
    return isinstance(data, list) and isinstance(part, int) and part < len(data)


def _value(data: Any, path: Path) -> Any:
    for part in path:
        data = data[part]
    return data


def _problem(details: ErrorDetails, path: Path, data: Any) -> Problem:
    kind, context = details["type"], details.get("ctx", {})
    if kind == "extra_forbidden":
        text = f"There is no setting '{path[-1]}' here."
        return Problem(path, text, _remedy_for_key(path), at_key=True)
    if kind in {"literal_error", "enum", "union_tag_invalid"}:
        return _one_of(context, path, data)
    if kind == "bad_input":
        return Problem(path, _sentence(context["problem"]), _sentence(context.get("remedy", "")))
    return Problem(path, _words(kind, context, path) or _sentence(details["msg"]))


def _words(kind: str, context: dict[str, Any], path: Path) -> str:
    """Our words for pydantic's kind of error; "" for a kind that needs none."""
    if kind == "missing":
        return f"`{path[-1]}` is missing."
    if kind == "value_error":
        return _sentence(str(context["error"]))
    if kind in BOUNDS:
        words, name = BOUNDS[kind]
        return f"This must be {words} {context[name]}."
    return WORDS.get(kind, "")


def _sentence(text: str) -> str:
    if not text:
        return ""
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?")) else ".")


def _remedy_for_key(path: Path) -> str:
    key, known = str(path[-1]), known_keys(path[:-1])
    if meant := nearest(key, known):
        return f"Did you mean '{meant}'?"
    if (section := belongs_under(key, path[:-1])) and known:
        return f"It belongs under `{section}`."
    return f"There are: {', '.join(known)}." if known else "Remove it."


def _one_of(context: dict[str, Any], path: Path, data: Any) -> Problem:
    expected = str(context.get("expected") or context.get("expected_tags", ""))
    words = [word.strip().strip("'") for word in expected.replace(" or ", ", ").split(",")]
    value = _value(data, path)
    shown = f"{value!r:.{MOST_SHOWN}}" if isinstance(value, str | int | float) else "This"
    meant = nearest(str(value), words) if isinstance(value, str) else None
    remedy = f"Did you mean '{meant}'?" if meant else ""
    return Problem(path, f"{shown} is not one of: {', '.join(words)}.", remedy)
