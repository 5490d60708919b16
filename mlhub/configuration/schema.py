"""The JSON Schema of mlhub.yaml, and what it says of a place in the document."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, Final

from mlhub.configuration.flavors import TimesSettings
from mlhub.configuration.problems import Path, show_path
from mlhub.configuration.settings import Settings
from mlhub.core.quantities import format_duration

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
DEEPEST: Final = 4  # levels that a misplaced key is looked for in
Node = dict[str, Any]


@cache
def json_schema() -> Node:
    """The published schema; editors check and complete mlhub.yaml by it."""
    schema = Settings.model_json_schema()
    times = schema["$defs"][TimesSettings.__name__]["properties"]
    for name, field in TimesSettings.model_fields.items():
        times[name]["default"] = format_duration(field.default)  # pydantic writes PT8H
    return {"$schema": DIALECT, **schema, "title": "mlhub.yaml"}


def schema_text() -> str:
    """The schema as the committed file and `mlhub config schema` have it."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def known_keys(path: Path) -> list[str]:
    """The keys that the mapping at a path may have."""
    return sorted({key for node in _at(path) for key in node.get("properties", {})})


def nearest(word: str, words: Iterable[str]) -> str | None:
    """The word that was probably meant."""
    found = difflib.get_close_matches(word.lower(), sorted(words), n=1, cutoff=0.6)
    return found[0] if found else None


def belongs_under(key: str, near: Path) -> str | None:
    """The path of a section that has this key: below where it was written, else anywhere."""
    return _search(key, near) or _search(key, ())


def _search(key: str, start: Path) -> str | None:
    level = [(start, node) for node in _at(start)]
    for _ in range(DEEPEST):
        found = [path for path, node in level if key in node.get("properties", {})]
        if found:
            return show_path(found[0]) or "the top of the file"
        level = [below for path, node in level for below in _below(path, node)]
    return None


def _below(path: Path, node: Node) -> Iterator[tuple[Path, Node]]:
    for key, value in node.get("properties", {}).items():
        for inner in _flat(value):
            yield (*path, key), inner
            if isinstance(inner.get("additionalProperties"), dict):
                for entry in _flat(inner["additionalProperties"]):
                    yield (*path, key, "<name>"), entry


def _at(path: Path) -> list[Node]:
    nodes = [json_schema()]
    for part in path:
        nodes = [inner for node in nodes for step in _step(node, part) for inner in _flat(step)]
    return nodes


def _step(node: Node, part: str | int) -> list[Node]:
    if isinstance(part, int):
        return [node["items"]] if isinstance(node.get("items"), dict) else []
    if part in node.get("properties", {}):
        return [node["properties"][part]]
    others = [*node.get("patternProperties", {}).values(), node.get("additionalProperties")]
    return [other for other in others if isinstance(other, dict)]


def _flat(node: Any) -> list[Node]:
    """A node with its reference followed and its alternatives side by side."""
    if not isinstance(node, dict):
        return []
    if "$ref" in node:
        return _flat(json_schema()["$defs"][node["$ref"].rsplit("/", 1)[1]])
    choices = [inner for word in ("anyOf", "oneOf", "allOf") for inner in node.get(word, ())]
    return [inner for choice in choices for inner in _flat(choice)] or [node]
