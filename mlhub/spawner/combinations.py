"""Which GPUs each combination of answers asks for, worked out once for everybody's form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final, Literal

from mlhub.core.devices import Flavor
from mlhub.core.errors import BadInput
from mlhub.profiles import Choice, GpuAsk, Option, Profile, gpu_ask, merged
from mlhub.spawner.overriding import ASKING_KEYS

MOST: Final = 2000  # combinations of one profile; beyond them the form says what it does not know
Kind = Literal["gpu", "count", "plain"]


@dataclass(frozen=True, slots=True)
class Combinations:
    """The asks of one profile.

    Attributes:
        options: the slugs of the options that matter, in order.
        asks: by the answers to these options: what is asked for, None for no GPU, or a text that
            says why the combination is impossible.
    """

    options: tuple[str, ...]
    asks: Mapping[tuple[str, ...], GpuAsk | str | None]

    def ask(self, answers: Mapping[str, str]) -> GpuAsk | str | None:
        """What is asked for with these answers."""
        return self.asks.get(tuple(answers.get(slug, "") for slug in self.options))


class LastAsks:
    """The asks of all profiles as they were last worked out: they are the same in most forms.

    They are kept by value, since a profile_list may be a function that gives the same lists with
    another content.
    """

    def __init__(self) -> None:
        self._basis: object = None
        self._made: tuple[Combinations, ...] = ()

    def of(
        self,
        profiles: Sequence[Profile],
        flavors: Sequence[Flavor] | None,
        base: Mapping[str, Any],
    ) -> tuple[Combinations, ...]:
        """The combinations of each profile; worked out where anything they follow from changed."""
        known = None if flavors is None else list(flavors)
        basis = ([_asking_part(row) for row in profiles], known, _copied(base))
        if basis != self._basis:
            self._made = tuple(combinations_of(row, flavors, base) for row in profiles)
            self._basis = basis
        return self._made


def _asking_part(profile: Profile) -> tuple[Any, ...]:
    """What of a profile bears on GPUs; the rest of it may be large, or no plain value."""
    options = [
        (option.slug, [(choice.slug, _asking_keys(choice.override)) for choice in option.choices])
        for option in profile.options
    ]
    return _asking_keys(profile.override), options


def _asking_keys(override: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copied(override[key]) for key in ("gpu", *ASKING_KEYS) if key in override}


def _copied(value: Any) -> Any:
    """The value as it is now, whatever becomes of the mappings and lists in it."""
    if isinstance(value, Mapping):
        return {key: _copied(inner) for key, inner in value.items()}
    return [_copied(inner) for inner in value] if isinstance(value, list) else value


def combinations_of(
    profile: Profile, flavors: Sequence[Flavor] | None, base: Mapping[str, Any]
) -> Combinations:
    """Every combination of the profile's answers that bears on GPUs."""
    options = [option for option in profile.options if kind_of(option) != "plain"]
    count = 1
    for option in options:
        count *= max(1, len(option.choices))
    if count > MOST:
        return Combinations(tuple(option.slug for option in options), {})
    rows = product(*(option.choices for option in options))
    asks = {
        tuple(choice.slug for choice in row): _ask(profile, row, flavors=flavors, base=base)
        for row in rows
    }
    return Combinations(tuple(option.slug for option in options), asks)


def _ask(
    profile: Profile,
    choices: Sequence[Choice],
    *,
    flavors: Sequence[Flavor] | None,
    base: Mapping[str, Any],
) -> GpuAsk | str | None:
    overrides = [profile.override, *(choice.override for choice in choices)]
    try:
        return gpu_ask(merged(base, overrides), flavors)
    except BadInput as error:
        return f"{error.problem} ({error.remedy})" if error.remedy else error.problem


def kind_of(option: Option) -> Kind:
    """Whether an option is about which GPU, about how many, or about something else."""
    overrides = [choice.override for choice in option.choices]
    if not any(key in override for override in overrides for key in ("gpu", *ASKING_KEYS)):
        return "plain"
    return "count" if all(_counts_only(override) for override in overrides) else "gpu"


def _counts_only(override: Mapping[str, Any]) -> bool:
    gpu = override.get("gpu")
    return isinstance(gpu, Mapping) and "count" in gpu and "flavor" not in gpu
