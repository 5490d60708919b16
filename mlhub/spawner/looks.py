"""How profiles, options and flavors are shown: what the picker's template takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from mlhub.client import FlavorView, InventoryView
from mlhub.core.quantities import format_duration
from mlhub.profiles import GpuAsk, Option, Profile, Unlisted
from mlhub.profiles.choosing import UNLISTED
from mlhub.spawner import outlook as words
from mlhub.spawner.combinations import Combinations, Kind, kind_of
from mlhub.spawner.form import PREFIX
from mlhub.spawner.markup import plain, rich


@dataclass(frozen=True, slots=True)
class Look:
    """A flavor's availability as it is shown: cells, and the same in words."""

    flavor: str
    cells: tuple[str, ...]
    free: str
    wait: str
    price: str
    memory: str


@dataclass(frozen=True, slots=True)
class ChoiceLook:
    """One card."""

    slug: str
    name: Markup
    title: str
    description: Markup
    checked: bool
    look: Look | None = None


@dataclass(frozen=True, slots=True)
class OptionLook:
    """One question of a profile.

    Attributes:
        field: the name of its fields.
        words: what was written into its unlisted choice last.
    """

    slug: str
    field: str
    name: Markup
    kind: Kind
    choices: tuple[ChoiceLook, ...]
    unlisted: Unlisted | None
    words: str
    other: bool


@dataclass(frozen=True, slots=True)
class ProfileLook:
    """One environment with its questions.

    Attributes:
        own: the GPU that it asks for by itself.
        usual: how long its claims last when nothing is chosen; "" for as long as any.
    """

    slug: str
    name: Markup
    title: str
    description: Markup
    checked: bool
    options: tuple[OptionLook, ...]
    own: Look | None = None
    usual: str = ""


def looks_of(inventory: InventoryView) -> dict[str, Look]:
    """How each flavor is shown, by its name."""
    return {row.name: _look(row, inventory) for row in inventory.flavors}


def _look_of(ask: GpuAsk | str | None, looks: Mapping[str, Look]) -> Look | None:
    """How what is asked for is shown; a place to be filled in where nothing is known of it."""
    if not isinstance(ask, GpuAsk):
        return None
    unknown = "not here now" if looks else "not known now"
    return looks.get(ask.flavor) or Look(ask.flavor, (), unknown, "", "", "")


def _look(flavor: FlavorView, inventory: InventoryView) -> Look:
    return Look(
        flavor=flavor.name,
        cells=tuple(words.cells(flavor)),
        free=words.free_text(flavor),
        wait=words.wait_text(flavor, inventory.now),
        price=words.price_text(flavor),
        memory=words.memory_text(flavor),
    )


def profile_look(
    profile: Profile, *, answers: Mapping[str, Any], made: Combinations, looks: Mapping[str, Look]
) -> ProfileLook:
    """A profile with its questions, and what is answered to them so far."""
    checked = answers.get("profile") == profile.slug
    own = made.asks.get(()) if not made.options else None
    duration = profile.duration
    return ProfileLook(
        slug=profile.slug,
        name=rich(profile.display_name),
        title=plain(profile.display_name),
        description=rich(profile.description),
        checked=checked,
        options=tuple(
            option_look(profile, row, answers=answers if checked else {}, made=made, looks=looks)
            for row in profile.options
        ),
        own=_look_of(own, looks),
        usual=f"{format_duration(duration)} (usual)" if duration else "",
    )


def option_look(
    profile: Profile,
    option: Option,
    *,
    answers: Mapping[str, Any],
    made: Combinations,
    looks: Mapping[str, Look],
) -> OptionLook:
    """A question with its answers and their availability."""
    said = str(answers.get(option.slug + UNLISTED, ""))
    other = bool(option.unlisted and (said or not option.choices))
    picked = "" if other else str(answers.get(option.slug) or option.default)
    kind = kind_of(option)
    defaults = {row.slug: row.default for row in profile.options}
    rows = []
    for choice in option.choices:
        ask = made.ask(defaults | {option.slug: choice.slug}) if kind == "gpu" else None
        rows.append(
            ChoiceLook(
                slug=choice.slug,
                name=rich(choice.display_name),
                title=plain(choice.display_name),
                description=rich(choice.description),
                checked=choice.slug == picked,
                look=_look_of(ask, looks),
            )
        )
    return OptionLook(
        slug=option.slug,
        field=f"{PREFIX}{profile.slug}--{option.slug}",
        name=rich(option.display_name),
        kind=kind,
        choices=tuple(rows),
        unlisted=option.unlisted,
        words=said,
        other=other,
    )
