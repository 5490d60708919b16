"""What a person chose, checked against the profiles: settings for the spawner, and an ask."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from mlhub.core.devices import Flavor
from mlhub.core.errors import BadInput
from mlhub.core.quantities import parse_duration
from mlhub.profiles.asking import GpuAsk, gpu_ask, shown
from mlhub.profiles.merging import merged, worded
from mlhub.profiles.reading import RESERVED
from mlhub.profiles.shapes import Option, Override, Profile

UNLISTED: Final = "--unlisted-choice"
LONGEST: Final = 500  # characters of one answer
MOST_KEYS: Final = 60
MOST_SECONDS: Final = 10**12
SHORTEST: Final = timedelta(minutes=1)
FLAVOR_NAME: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")


@dataclass(frozen=True, slots=True)
class Pick:
    """The answer to one option: what it is called, what it sets, the person's words if any."""

    option: str
    choice: str
    display_name: str
    override: Override
    words: str = ""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A whole choice.

    Attributes:
        profile: None when no profiles are configured.
        overrides: to be laid over the spawner's settings, in this order.
        ask: the GPUs that it needs, or None.
        duration: how long they are wanted, or None when nobody said.
        wait: True to queue when there are none.
        options: the same choice as user options, complete, to be kept and sent again.
    """

    profile: Profile | None
    picks: tuple[Pick, ...] = ()
    overrides: tuple[Override, ...] = ()
    ask: GpuAsk | None = None
    duration: timedelta | None = None
    wait: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


def resolve(
    profiles: Sequence[Profile],
    user_options: object,
    flavors: Sequence[Flavor] | None = (),
    *,
    base: Mapping[str, Any] | None = None,
) -> Chosen:
    """What the options mean.

    Args:
        profiles: from `read_profiles`.
        user_options: as a form or a REST body gave them; every type is possible.
        flavors: what resource names are matched to; None while they are not known.
        base: the spawner's own settings, below every override.

    Raises:
        BadInput: something in them is unknown, impossible or of a wrong type.
    """
    options = _plain(user_options)
    profile = _profile(profiles, options.get("profile"))
    _refuse_unknown(options, profile)
    picks = tuple(_pick(option, options) for option in (profile.options if profile else ()))
    overrides = ((profile.override,) if profile else ()) + tuple(pick.override for pick in picks)
    ask = gpu_ask(merged(base or {}, overrides), flavors)
    wait = options.get("wait", False)
    if not isinstance(wait, bool):
        raise BadInput("wait", "this is neither true nor false", "send true or false")
    chosen = _duration(options.get("duration"))
    return Chosen(
        profile=profile, picks=picks, overrides=overrides, ask=ask, wait=wait,
        duration=chosen or (profile.duration if profile else None),
        options=_options(profile, picks, options),
    )  # fmt: skip


def _plain(user_options: object) -> Mapping[str, Any]:
    if user_options is None:
        return {}
    if not isinstance(user_options, Mapping):
        raise BadInput("user_options", "this is no object of names and values", "send {}")
    if len(user_options) > MOST_KEYS:
        text = f"{len(user_options)} options are too many"
        raise BadInput("user_options", text, f"send at most {MOST_KEYS}")
    for key, value in user_options.items():
        if isinstance(value, str) and len(value) > LONGEST:
            text = f"this is {len(value)} characters long"
            raise BadInput(shown(key).strip("'"), text, f"write at most {LONGEST}")
    return {key: value for key, value in user_options.items() if value is not None}


def _profile(profiles: Sequence[Profile], slug: object) -> Profile | None:
    if slug is None or slug == "":
        marked = (profile for profile in profiles if profile.default)
        return next(marked, profiles[0] if profiles else None)
    for profile in profiles:
        if profile.slug == slug:
            return profile
    names = ", ".join(profile.slug for profile in profiles) or "none"
    raise BadInput("profile", f"there is no profile {shown(slug)}", f"choose one of: {names}")


def _refuse_unknown(options: Mapping[str, Any], profile: Profile | None) -> None:
    mine = profile.options if profile else ()
    known = {option.slug for option in mine}
    words = {option.slug + UNLISTED for option in mine if option.unlisted}
    for key in options:
        if key in RESERVED or key in known or key in words:
            continue
        where = f"profile '{profile.slug}'" if profile else "this hub"
        names = ", ".join([*sorted(known), "duration", "wait"])
        text = f"{where} has no such option"
        raise BadInput(shown(key).strip("'"), text, f"there are: {names}")


def _pick(option: Option, options: Mapping[str, Any]) -> Pick:
    words = options.get(option.slug + UNLISTED)
    if words is not None and words != "":
        return _unlisted_pick(option, words)
    answer = options.get(option.slug)
    slug = _as_text(answer) if answer not in (None, "") else option.default
    choice = option.choice(slug)
    if choice is not None:
        return Pick(option.slug, slug, choice.display_name, choice.override)
    if option.open and FLAVOR_NAME.fullmatch(slug):
        return Pick(option.slug, slug, slug, {"gpu": {"flavor": slug}})
    raise BadInput(option.slug, *_no_such_choice(option, answer))


def _no_such_choice(option: Option, answer: object) -> tuple[str, str]:
    names = ", ".join(choice.slug for choice in option.choices)
    if answer is None or answer == "":
        return f"'{option.display_name}' was not answered", "write something into it"
    return (
        f"{shown(answer)} is no choice of '{option.display_name}'",
        f"choose one of: {names}" if names else "write it as an unlisted choice",
    )


def _unlisted_pick(option: Option, words: object) -> Pick:
    unlisted, key = option.unlisted, option.slug + UNLISTED
    if unlisted is None:
        raise BadInput(key, f"'{option.display_name}' takes listed choices only", "choose one")
    if not isinstance(words, str):
        raise BadInput(key, "this is no text", unlisted.message or "write one line")
    if any(ord(sign) < 32 or ord(sign) == 127 for sign in words):
        raise BadInput(key, "this has line breaks or control characters", "write one line")
    if unlisted.pattern and not re.fullmatch(unlisted.pattern, words):
        text = f"{shown(words)} is not allowed here"
        raise BadInput(key, text, unlisted.message or f"it must match {unlisted.pattern[:100]}")
    override = worded(unlisted.override, words)
    return Pick(option.slug, "", words, override, words)


def _as_text(answer: object) -> str:
    """A choice's slug as text; a number may come as a number."""
    if isinstance(answer, int) and not isinstance(answer, bool):
        return str(answer) if abs(answer) < 10**9 else ""
    return answer if isinstance(answer, str) else ""


def _duration(value: object) -> timedelta | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise BadInput("duration", "this is no duration", "write for example 8h or 1h30m")
    if isinstance(value, int) and abs(value) > MOST_SECONDS:
        raise BadInput("duration", f"{shown(value)} is no duration", "write for example 8h")
    duration = parse_duration(value)
    if duration < SHORTEST:
        raise BadInput("duration", "this is shorter than a minute", "ask for 1 min at least")
    return duration


def _options(
    profile: Profile | None, picks: tuple[Pick, ...], given: Mapping[str, Any]
) -> dict[str, Any]:
    options: dict[str, Any] = {"profile": profile.slug} if profile else {}
    for pick in picks:
        key = pick.option + UNLISTED if pick.words else pick.option
        options[key] = pick.words or pick.choice
    return options | {key: given[key] for key in ("duration", "wait") if key in given}
