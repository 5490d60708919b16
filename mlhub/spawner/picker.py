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
from mlhub.profiles import GpuAsk, Profile, resolve
from mlhub.profiles.choosing import LONGEST, UNLISTED, Chosen
from mlhub.spawner.combinations import Combinations, LastAsks, kind_of
from mlhub.spawner.form import OTHER
from mlhub.spawner.looks import looks_of, profile_look
from mlhub.spawner.markup import plain

TEMPLATE: Final = "picker.html"
LAST_ASKS: Final = LastAsks()


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
    combinations = LAST_ASKS.of(visit.profiles, visit.flavors, visit.base)
    looks = {} if visit.inventory is None else looks_of(visit.inventory)
    answers = last_words(visit) | dict(chosen.options if chosen else {})
    rows = [
        profile_look(profile, answers=answers, made=made, looks=looks)
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


def asks_any(made: Combinations) -> bool:
    """Whether a profile can ask for a GPU at all."""
    return not made.asks or any(made.asks.values())


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
        "now": inventory.now.isoformat() if inventory else None,
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
