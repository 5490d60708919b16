"""The picker's page: profiles and availability become what its template shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from mlhub.client import FlavorView, InventoryView
from mlhub.core.devices import Flavor
from mlhub.core.errors import BadInput
from mlhub.core.quantities import format_duration, parse_duration
from mlhub.profiles import GpuAsk, Option, Profile, Unlisted, resolve
from mlhub.profiles.choosing import LONGEST, UNLISTED, Chosen
from mlhub.spawner import outlook as words
from mlhub.spawner.combinations import Combinations, Kind, combinations_of, kind_of
from mlhub.spawner.form import OTHER, PREFIX
from mlhub.spawner.markup import plain, rich

TEMPLATE: Final = "picker.html"


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


@dataclass(frozen=True, slots=True)
class Visit:
    """For whom the form is made, and what is known just now.

    Attributes:
        last: the user options of the last time; they need not make sense any more.
        api: the path of the quota service's API; its pages are at `pages`.
        ticket: for the form's own script; "" while the service is away.
        durations: what one may choose, and `usual` when nothing is chosen.
    """

    profiles: Sequence[Profile]
    flavors: Sequence[Flavor] | None
    inventory: InventoryView | None
    base: Mapping[str, Any] = field(default_factory=dict)
    last: object = None
    user: str = ""
    api: str = ""
    pages: str = ""
    page: str = ""
    ticket: str = ""
    durations: Sequence[str] = ()
    usual: str = ""


def render(visit: Visit) -> str:
    """The form's HTML, without the form element itself."""
    chosen = last_choice(visit)
    combinations = [combinations_of(row, visit.flavors, visit.base) for row in visit.profiles]
    looks = {} if visit.inventory is None else looks_of(visit.inventory)
    answers = last_words(visit) | dict(chosen.options if chosen else {})
    rows = [
        _profile(profile, answers=answers, made=made, looks=looks)
        for profile, made in zip(visit.profiles, combinations, strict=True)
    ]
    needs_gpu = any(asks_any(made) for made in combinations)
    return template().render(
        profiles=rows,
        only=len(rows) == 1,
        needs_gpu=needs_gpu,
        prices=any(look.price for look in looks.values()),
        durations=[_duration(text) for text in visit.durations],
        duration=str((chosen.options if chosen else {}).get("duration", "")),
        usual=visit.usual,
        summary=summary(chosen),
        simulated=bool(visit.inventory and visit.inventory.simulated),
        problem=visit.inventory.problem if visit.inventory else "",
        away=visit.inventory is None and needs_gpu,
        data=_data(visit, combinations) | {"needsGpu": needs_gpu},
        other=OTHER,
    )


@cache
def template() -> Template:
    """The picker's template, compiled once."""
    environment = Environment(
        loader=PackageLoader("mlhub.spawner", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(TEMPLATE)


def wants_new_ticket(handler: Any) -> bool:
    """Whether the form's script asks for the page because its ticket has ended."""
    return handler is not None and handler.request.headers.get("Mlhub-Ticket") == "new"


def problem_text(error: BadInput) -> str:
    """What stands where the form would be, had the profiles been set up rightly."""
    return Markup('<p class="alert alert-danger" role="alert">{}</p>').format(str(error))


def last_choice(visit: Visit) -> Chosen | None:
    """The last choice, without what makes no sense (any more)."""
    options = dict(visit.last) if isinstance(visit.last, Mapping) else {}
    for _ in range(len(options) + 2):
        try:
            return resolve(visit.profiles, options, visit.flavors, base=visit.base)
        except BadInput as error:
            known = error.field in options
            options = {k: v for k, v in options.items() if known and k != error.field}
    return None


def last_words(visit: Visit) -> dict[str, str]:
    """What was last written in one's own words, right or wrong, by the name of its field."""
    options = visit.last if isinstance(visit.last, Mapping) else {}
    return {
        key: words[:LONGEST]
        for key, words in options.items()
        if isinstance(key, str) and key.endswith(UNLISTED) and isinstance(words, str)
    }


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
        wait=words.wait_text(flavor, inventory.taken_at),
        price=words.price_text(flavor),
        memory=words.memory_text(flavor),
    )


def asks_any(made: Combinations) -> bool:
    """Whether a profile can ask for a GPU at all."""
    return not made.asks or any(made.asks.values())


def _profile(
    profile: Profile, *, answers: Mapping[str, Any], made: Combinations, looks: Mapping[str, Look]
) -> ProfileLook:
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
            _option(profile, row, answers=answers if checked else {}, made=made, looks=looks)
            for row in profile.options
        ),
        own=_look_of(own, looks),
        usual=f"{format_duration(duration)} (usual)" if duration else "",
    )


def _option(
    profile: Profile,
    option: Option,
    *,
    answers: Mapping[str, Any],
    made: Combinations,
    looks: Mapping[str, Look],
) -> OptionLook:
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


def summary(chosen: Chosen | None) -> str:
    """What was chosen, on one line."""
    if chosen is None or chosen.profile is None:
        return ""
    kinds = {option.slug: kind_of(option) for option in chosen.profile.options}
    count = next((pick.display_name for pick in chosen.picks if kinds[pick.option] == "count"), "")
    parts = [plain(chosen.profile.display_name)]
    for pick in chosen.picks:
        if kinds[pick.option] == "count":
            continue
        many = kinds[pick.option] == "gpu" and chosen.ask and count
        parts.append(f"{count} × {plain(pick.display_name)}" if many else plain(pick.display_name))
    return " · ".join(parts)


def _duration(text: str) -> tuple[str, str, int]:
    """A duration to choose: its value, its words, its seconds."""
    span = parse_duration(text)
    return text, format_duration(span), round(span.total_seconds())


def _data(visit: Visit, combinations: Sequence[Combinations]) -> dict[str, Any]:
    """What the form's script starts from; nothing of a profile's overrides is in it."""
    inventory = visit.inventory
    return {
        "api": visit.api,
        "pages": visit.pages,
        "page": visit.page,
        "ticket": visit.ticket,
        "user": visit.user,
        "other": OTHER,
        "takenAt": inventory.taken_at.isoformat() if inventory else None,
        "flavors": [_flavor_data(row) for row in inventory.flavors] if inventory else [],
        "profiles": {
            profile.slug: {"options": made.options, "asks": _asks_data(made)}
            for profile, made in zip(visit.profiles, combinations, strict=True)
        },
    }


def _asks_data(made: Combinations) -> list[Any]:
    """Pairs of answers and what they ask for: flavor and count, null, or a text why not."""
    return [
        [answers, [ask.flavor, ask.count] if isinstance(ask, GpuAsk) else ask]
        for answers, ask in made.asks.items()
    ]


def _flavor_data(row: FlavorView) -> dict[str, Any]:
    """One flavor as the service's API has it."""
    found = asdict(row)
    if row.expected:
        found["expected"] = {name: at.isoformat() for name, at in asdict(row.expected).items()}
    return found
