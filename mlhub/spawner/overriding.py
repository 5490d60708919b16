"""A profile's overrides laid over a spawner's own settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from inspect import isawaitable
from typing import Any, Final

from traitlets import HasTraits, TraitError

from mlhub.core.errors import BadInput
from mlhub.profiles.merging import laid_over
from mlhub.profiles.reading import WRONG_SET_UP

OUR_KEYS: Final = frozenset({"gpu"})
"""Override keys that are no setting of any spawner."""
ASKING_KEYS: Final = ("extra_resource_limits", "extra_resource_guarantees", "node_selector")
"""KubeSpawner's settings that may ask for GPUs."""


def asking_settings(spawner: HasTraits) -> dict[str, Any]:
    """Those of the spawner's own settings that may ask for GPUs, below every override."""
    return {key: getattr(spawner, key) for key in ASKING_KEYS if spawner.has_trait(key)}


async def evaluated(overrides: Iterable[Mapping[str, Any]], spawner: Any) -> list[dict[str, Any]]:
    """The overrides with the results of those that are functions of the spawner."""
    return [
        {key: await _value(value, spawner) for key, value in override.items()}
        for override in overrides
    ]


async def _value(value: Any, spawner: Any) -> Any:
    found = value(spawner) if callable(value) else value
    return await found if isawaitable(found) else found


def lay_over(spawner: HasTraits, overrides: Iterable[Mapping[str, Any]]) -> set[str]:
    """Sets the spawner's settings, and says which names are no setting of this spawner.

    A profile_list may have been written for KubeSpawner: an image means nothing to a spawner of
    local processes.

    Raises:
        BadInput: a value is of a kind that the setting does not take.
    """
    ignored: set[str] = set()
    for override in overrides:
        for key in override.keys() - OUR_KEYS:
            if spawner.has_trait(key):
                _set(spawner, key, override[key])
            else:
                ignored.add(key)
    return ignored


def _set(spawner: HasTraits, key: str, value: Any) -> None:
    try:
        setattr(spawner, key, laid_over(getattr(spawner, key), value))
    except TraitError as error:
        text = "this profile sets it to what it cannot be"
        raise BadInput(key, text, WRONG_SET_UP) from error
