"""From a profile_list as it was configured to values: slugs, defaults, `gpus: any` written out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from mlhub.configuration.profiles import RESERVED, slugify
from mlhub.core.devices import Flavor
from mlhub.core.errors import BadInput
from mlhub.core.quantities import parse_duration
from mlhub.profiles.shapes import Choice, Option, Profile, Unlisted

NO_GPU: Final = "none"
FEW: Final = 8  # up to here every count is offered, above it powers of two and the most
COUNT_UNKNOWN: Final = 8  # offered where the inventory does not say
WRONG_SET_UP: Final = "tell the hub's administrator: a profile is set up wrongly"


def read_profiles(
    profile_list: object, flavors: Sequence[Flavor] | None = ()
) -> tuple[Profile, ...]:
    """The profiles in the order in which they are shown.

    Args:
        profile_list: a list of profiles, or a dict of them, which is sorted by its keys.
        flavors: what `gpus: any` offers; None while that is not known.

    Raises:
        BadInput: it is not shaped like a profile_list; the field says where.
    """
    rows = _rows(profile_list)
    profiles: list[Profile] = []
    for index, row in enumerate(rows):
        profile = _profile(row, f"profiles[{index}]", flavors)
        if any(profile.slug == other.slug for other in profiles):
            text = f"two profiles have the slug '{profile.slug}'"
            raise BadInput(f"profiles[{index}].slug", text, WRONG_SET_UP)
        profiles.append(profile)
    return tuple(profiles)


def _rows(profile_list: object) -> list[Any]:
    if isinstance(profile_list, Mapping):
        return [profile_list[key] for key in sorted(profile_list)]
    if isinstance(profile_list, list | tuple):
        return list(profile_list)
    raise BadInput("profiles", "this is no list of profiles", WRONG_SET_UP)


def _profile(row: object, path: str, flavors: Sequence[Flavor] | None) -> Profile:
    found = _mapping(row, path)
    name = _text(found, "display_name", path)
    if not name:
        raise BadInput(f"{path}.display_name", "a profile needs a name", WRONG_SET_UP)
    options = [
        _option(str(key), value, f"{path}.profile_options.{key}")
        for key, value in _section(found, "profile_options", path).items()
    ]
    if found.get("gpus") == "any":
        options = [*_gpu_options(flavors), *options]
    duration = found.get("duration")
    return Profile(
        slug=_text(found, "slug", path) or slugify(name),
        display_name=name,
        override=_section(found, "kubespawner_override", path),
        options=_all_different(options, path),
        description=_text(found, "description", path),
        default=bool(found.get("default")),
        duration=None if duration is None else parse_duration(duration, field=f"{path}.duration"),
    )


def _option(slug: str, row: object, path: str) -> Option:
    if slug in RESERVED or slug.endswith("--unlisted-choice"):
        raise BadInput(path, f"an option cannot be called '{slug}'", WRONG_SET_UP)
    found = _mapping(row, path)
    rows = _section(found, "choices", path)
    choices = tuple(_choice(str(key), rows[key], f"{path}.choices.{key}") for key in rows)
    defaults = [str(key) for key in rows if (rows[key] or {}).get("default")]
    first = choices[0].slug if choices else ""
    return Option(
        slug=slug,
        display_name=_text(found, "display_name", path) or slug,
        choices=choices,
        default=defaults[0] if defaults else first,
        unlisted=_unlisted(found.get("unlisted_choice"), f"{path}.unlisted_choice"),
    )


def _choice(slug: str, row: object, path: str) -> Choice:
    found = _mapping(row, path)
    return Choice(
        slug=slug,
        display_name=_text(found, "display_name", path) or slug,
        override=_section(found, "kubespawner_override", path),
        description=_text(found, "description", path),
    )


def _unlisted(row: object, path: str) -> Unlisted | None:
    found = _mapping(row, path)
    if not found.get("enabled"):
        return None
    pattern = _text(found, "validation_regex", path)
    try:
        re.compile(pattern)
    except re.error as error:
        raise BadInput(f"{path}.validation_regex", str(error), WRONG_SET_UP) from error
    return Unlisted(
        display_name=_text(found, "display_name", path) or "Other",
        display_name_in_choices=_text(found, "display_name_in_choices", path) or "Other…",
        override=_section(found, "kubespawner_override", path),
        pattern=pattern,
        message=_text(found, "validation_message", path),
    )


def _gpu_options(flavors: Sequence[Flavor] | None) -> list[Option]:
    """What `gpus: any` stands for: which flavor, or none, and how many of it."""
    known = flavors or ()
    kinds = tuple(
        Choice(flavor.name, flavor.display_name, {"gpu": {"flavor": flavor.name}},
               flavor.description)
        for flavor in known
    )  # fmt: skip
    none = Choice(NO_GPU, "No GPU", {"gpu": None}, "starts now, on CPU")
    numbers = tuple(Choice(str(n), str(n), {"gpu": {"count": n}}) for n in _counts(flavors))
    gpu = Option("gpu", "GPU", (none, *kinds), NO_GPU, open=flavors is None)
    if not kinds and flavors is not None:
        return [gpu]
    return [gpu, Option("count", "How many", numbers, "1")]


def _counts(flavors: Sequence[Flavor] | None) -> list[int]:
    if flavors is None:
        return list(range(1, COUNT_UNKNOWN + 1))
    most = max((flavor.max_count or COUNT_UNKNOWN for flavor in flavors), default=1)
    if most <= FEW:
        return list(range(1, most + 1))
    powers = [2**exponent for exponent in range(most.bit_length()) if 2**exponent <= most]
    return sorted({*powers, most})


def _all_different(options: list[Option], path: str) -> tuple[Option, ...]:
    seen: set[str] = set()
    for option in options:
        if option.slug in seen:
            text = f"`gpus: any` brings an option '{option.slug}' of its own"
            raise BadInput(f"{path}.profile_options.{option.slug}", text, WRONG_SET_UP)
        seen.add(option.slug)
    return tuple(options)


def _mapping(row: object, path: str) -> Mapping[str, Any]:
    if row is None:
        return {}
    if not isinstance(row, Mapping):
        raise BadInput(path, "this is no section of keys and values", WRONG_SET_UP)
    return row


def _section(found: Mapping[str, Any], key: str, path: str) -> Mapping[str, Any]:
    return _mapping(found.get(key), f"{path}.{key}")


def _text(found: Mapping[str, Any], key: str, path: str) -> str:
    value = found.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadInput(f"{path}.{key}", "this is no text", WRONG_SET_UP)
    return value
