"""The form's fields: from a browser's post to user options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from mlhub.core.errors import BadInput
from mlhub.profiles.choosing import UNLISTED

PREFIX: Final = "profile-option-"
OTHER: Final = "unlisted-choice"
"""What a browser sends for an option whose answer is in the field beside it."""
YES: Final = frozenset({"1", "on", "true", "yes"})
NO: Final = frozenset({"", "0", "off", "false", "no"})


def options_of_form(form: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """User options from form fields; those of profiles that were not chosen are passed over.

    Raises:
        BadInput: a field has an answer that no form of ours gives.
    """
    profile = _last(form, "profile")
    options: dict[str, Any] = {"profile": profile} if profile else {}
    prefix = f"{PREFIX}{profile}--"
    fields = {key.removeprefix(prefix): key for key in form if key.startswith(prefix)}
    for name, key in fields.items():
        if not name.endswith(UNLISTED) and (answer := _last(form, key)):
            options |= _answer(name, answer, _last(form, key + UNLISTED))
        elif name.endswith(UNLISTED) and name.removesuffix(UNLISTED) not in fields:
            options[name] = _last(form, key) or None
    if duration := _last(form, "duration"):
        options["duration"] = duration
    if "wait" in form:
        options["wait"] = _yes(_last(form, "wait"))
    return options


def _last(form: Mapping[str, Sequence[str]], key: str) -> str:
    """A field's answer; a checkbox comes after the hidden field that says no for it."""
    values = form.get(key) or [""]
    return str(values[-1])


def _answer(name: str, answer: str, words: str) -> dict[str, Any]:
    return {name + UNLISTED: words} if answer == OTHER else {name: answer}


def _yes(answer: str) -> bool:
    if answer.lower() not in YES | NO:
        raise BadInput("wait", "this is neither yes nor no", "send 1 or 0")
    return answer.lower() in YES
