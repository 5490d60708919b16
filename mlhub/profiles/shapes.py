"""A profile_list as values: profiles, their options, the options' choices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

Override = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer to an option.

    Attributes:
        slug: what forms and REST bodies call it.
        override: the spawner settings that it stands for.
    """

    slug: str
    display_name: str
    override: Override
    description: str = ""


@dataclass(frozen=True, slots=True)
class Unlisted:
    """An answer in the person's own words; its override has ``{value}`` where the words go.

    Attributes:
        pattern: a regular expression for the whole of the answer; "" allows everything.
        message: what somebody is told whose answer does not match.
    """

    display_name: str
    display_name_in_choices: str
    override: Override
    pattern: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Option:
    """One question of a profile.

    Attributes:
        default: the slug of the choice that stands for no answer; "" when there are no choices.
        open: any word is taken as a flavor's name, because the flavors are not known just now.
    """

    slug: str
    display_name: str
    choices: tuple[Choice, ...]
    default: str = ""
    unlisted: Unlisted | None = None
    open: bool = False

    def choice(self, slug: str) -> Choice | None:
        """The choice of that name."""
        return next((choice for choice in self.choices if choice.slug == slug), None)


@dataclass(frozen=True, slots=True)
class Profile:
    """One environment to choose.

    Attributes:
        duration: how long its claims last when the person names nothing; None: as the service says.
    """

    slug: str
    display_name: str
    override: Override
    options: tuple[Option, ...] = ()
    description: str = ""
    default: bool = False
    duration: timedelta | None = None

    def option(self, slug: str) -> Option | None:
        """The option of that name."""
        return next((option for option in self.options if option.slug == slug), None)
