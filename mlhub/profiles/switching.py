"""The same choice with another GPU: what somebody who waits can start instead with one click."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlhub.core.devices import Flavor
from mlhub.core.errors import BadInput
from mlhub.profiles.asking import GpuAsk
from mlhub.profiles.choosing import UNLISTED, Chosen, resolve
from mlhub.profiles.shapes import Profile


def instead(
    profiles: Sequence[Profile],
    user_options: Mapping[str, Any],
    wanted: GpuAsk | None,
    flavors: Sequence[Flavor] | None,
) -> dict[str, Any] | None:
    """User options that differ in one answer and ask for `wanted`, to be had at once or not at all.

    Args:
        profiles: from `read_profiles`.
        user_options: what was chosen.
        wanted: the GPUs to ask for; None for none.
        flavors: what resource names are matched to.

    Returns:
        None where that environment has no such choice: then it has to be picked anew.
    """
    for options in _one_step_away(profiles, user_options, flavors):
        chosen = _resolved(profiles, options | {"wait": False}, flavors)
        if chosen is not None and chosen.ask == wanted:
            return dict(chosen.options)
    return None


def _one_step_away(
    profiles: Sequence[Profile], user_options: Mapping[str, Any], flavors: Sequence[Flavor] | None
) -> list[dict[str, Any]]:
    chosen = _resolved(profiles, user_options, flavors)
    if chosen is None or chosen.profile is None:
        return []
    return [
        {k: v for k, v in user_options.items() if k != option.slug + UNLISTED}
        | {option.slug: choice.slug}
        for option in chosen.profile.options
        for choice in option.choices
    ]


def _resolved(
    profiles: Sequence[Profile], options: Mapping[str, Any], flavors: Sequence[Flavor] | None
) -> Chosen | None:
    try:
        return resolve(profiles, options, flavors)
    except BadInput:
        return None
