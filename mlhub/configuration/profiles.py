"""The shape of `profiles:`: KubeSpawner's profile_list, and our keys `gpu`, `gpus` and `duration`.

Profiles stay plain data, as KubeSpawner has them; here is only what they may look like.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetPydanticSchema,
)
from pydantic_core import PydanticCustomError, core_schema

from mlhub.configuration.problems import Path
from mlhub.configuration.values import FlavorName, LongText, Section, SomeTime, Text, spelled

Slug = Annotated[
    str, *spelled(r"[a-z0-9][a-z0-9-]{0,62}", "use small letters, digits and '-', such as minimal")
]
PLACEHOLDER: Final = "{value}"
DEFAULT_PROFILES: Final = ({"display_name": "JupyterLab", "slug": "jupyterlab", "gpus": "any"},)
RESERVED: Final = frozenset({"profile", "duration", "wait"})  # of forms and REST bodies
RESOURCE_KEYS: Final = ("extra_resource_limits", "extra_resource_guarantees")


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        facts = {"problem": f"this is no regular expression: {error}"}
        raise PydanticCustomError("bad_pattern", "{problem}", facts) from error
    return text


class GpuOverride(Section):
    """How many GPUs of which flavor a choice asks for."""

    flavor: FlavorName | Literal["{value}"] | None = Field(
        None, description="the flavor's name; {value} in an unlisted choice: what was typed"
    )
    count: Annotated[int, Field(ge=0, le=1024)] | Literal["{value}"] | None = Field(
        None,
        description="how many, all on one node; default: 1; 0: none; {value} in an unlisted "
        "choice: what was typed",
    )


class Override(BaseModel):
    """Settings of the spawner, by their names; any of KubeSpawner's, and our one key."""

    model_config = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True)

    gpu: GpuOverride | None = Field(None, description="GPUs of one flavor; null: none")


class ProfilePart(Section):
    """What a profile, a choice and an unlisted choice share."""

    display_name: LongText | None = Field(None, description="what people read")
    kubespawner_override: Override = Field(
        default_factory=Override, description="settings of the spawner"
    )


class Choice(ProfilePart):
    """One answer to a question."""

    default: bool = Field(False, description="true at one of them at most: it is chosen at first")
    description: LongText | None = Field(None, description="a line below it")


class UnlistedChoice(ProfilePart):
    """An answer in the person's own words."""

    enabled: bool = Field(False, description="true allows it")
    display_name_in_choices: Text | None = Field(
        None, description="what the choice of it is called"
    )
    validation_regex: Annotated[str, AfterValidator(_pattern)] | None = Field(
        None, description="a regular expression that the whole answer has to match"
    )
    validation_message: LongText | None = Field(
        None, description="what a person is told whose answer does not"
    )


class Option(Section):
    """One question of the form."""

    display_name: LongText | None = Field(None, description="the question, as people read it")
    choices: dict[Text, Choice] = Field(default_factory=dict, description="its answers, by name")
    unlisted_choice: UnlistedChoice | None = Field(
        None, description="an answer in the person's own words"
    )


class Profile(ProfilePart):
    """One environment of the form."""

    display_name: Annotated[
        str, Field(min_length=1, max_length=4000, description="what people read")
    ]
    slug: Slug | None = Field(
        None, description="its name in REST bodies and addresses; default: from display_name"
    )
    description: LongText | None = Field(None, description="a line below it")
    default: bool = Field(False, description="true at one of them at most: it is chosen at first")
    profile_options: dict[Text, Option] = Field(
        default_factory=dict,
        description="questions, by name; profile, duration and wait are taken, with `gpus: any` "
        "also gpu and count",
    )
    gpus: Literal["any"] | None = Field(
        None, description="any: every flavor of the inventory is offered, and how many of it"
    )
    duration: SomeTime | None = Field(
        None, description="what a claim of this profile gets that names none"
    )


def _keep_plain(value: object, validate: core_schema.ValidatorFunctionWrapHandler) -> object:
    """The data as it was written, once it was found to be a profile."""
    validate(value)
    return value


PlainProfile = Annotated[
    dict[str, Any],
    GetPydanticSchema(
        lambda _, handler: core_schema.no_info_wrap_validator_function(
            _keep_plain, handler(Profile)
        )
    ),
]


def slug_of(profile: dict[str, Any]) -> str:
    """The profile's name in the API: its slug, else its display name in small letters."""
    if profile.get("slug"):
        return str(profile["slug"])
    return slugify(str(profile.get("display_name", "")))


def slugify(name: str) -> str:
    """A slug for a name: small letters and digits of ASCII, words joined by ``-``."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-") or "profile"


def overrides(profile: dict[str, Any]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every kubespawner_override of a profile, with its path within the profile."""
    for path, part in _parts(profile):
        found = part.get("kubespawner_override")
        if isinstance(found, dict):
            yield (*path, "kubespawner_override"), found


def _parts(profile: dict[str, Any]) -> Iterator[tuple[Path, dict[str, Any]]]:
    yield (), profile
    for name, option in (profile.get("profile_options") or {}).items():
        for word, choice in (option.get("choices") or {}).items():
            yield ("profile_options", name, "choices", word), choice or {}
        if isinstance(option.get("unlisted_choice"), dict):
            yield ("profile_options", name, "unlisted_choice"), option["unlisted_choice"]
