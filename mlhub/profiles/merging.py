"""Overrides laid over settings as KubeSpawner lays them, and a person's words put into them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{value\}")


def merged(settings: Mapping[str, Any], overrides: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The settings after the overrides, one after the other.

    A mapping is merged into a mapping, in depth, and None removes a key there; anything else
    replaces what was. Nothing given is changed.
    """
    result = dict(settings)
    for override in overrides:
        for key, value in override.items():
            result[key] = laid_over(result.get(key), value)
    return result


def laid_over(old: Any, new: Any) -> Any:
    """One setting after one override of it."""
    if not isinstance(new, Mapping):
        return new
    result = dict(old) if isinstance(old, Mapping) else {}
    for key, value in new.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = laid_over(result.get(key), value)
    return result


def worded(template: Any, value: str) -> Any:
    """The override of an unlisted choice with the person's words in place of ``{value}``."""
    if isinstance(template, str):
        words = {"{{": "{", "}}": "}", "{value}": value}
        return _PLACEHOLDER.sub(lambda found: words[found[0]], template)
    if isinstance(template, Mapping):
        return {worded(key, value): worded(item, value) for key, item in template.items()}
    if isinstance(template, list):
        return [worded(item, value) for item in template]
    return template
