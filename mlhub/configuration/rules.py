"""What contradicts itself although each setting alone is right: one function for each rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from mlhub.configuration.draft import Draft, draft_of
from mlhub.configuration.flavors import FlavorSettings
from mlhub.configuration.problems import Path, Problem, Severity
from mlhub.configuration.profile_rules import (
    gpu_overrides,
    incomplete_asks,
    several_defaults,
    taken_option_names,
    too_many_devices,
    two_ways_to_ask,
    unknown_resources,
)
from mlhub.configuration.profiles import PLACEHOLDER, slug_of
from mlhub.configuration.schema import nearest
from mlhub.core.quantities import format_duration, parse_duration


def contradictions(data: dict[str, Any]) -> list[Problem]:
    """Every contradiction of a document, also of one with other mistakes."""
    draft = draft_of(data)
    return [problem for rule in RULES for problem in rule(draft)]


def unknown_flavors(draft: Draft) -> Iterator[Problem]:
    """A limit or a profile names a flavor that is not configured; unknowable while none is."""
    if not draft.flavor_names:
        return
    for path, limit in draft.personal.items():
        for name in sorted(limit.flavors or ()):
            yield from _unknown(name, (*path, "flavors"), draft)
    for path, gpu in gpu_overrides(draft):
        if gpu.get("flavor") not in {None, PLACEHOLDER}:
            yield from _unknown(gpu["flavor"], (*path, "flavor"), draft)


def _unknown(name: str, path: Path, draft: Draft) -> Iterator[Problem]:
    if name in draft.flavor_names:
        return
    meant = nearest(name, draft.flavor_names)
    listed = ", ".join(draft.flavor_names)
    remedy = f"Did you mean '{meant}'?" if meant else f"There are: {listed}."
    yield Problem(path, f"There is no flavor '{name}' in `flavors`.", remedy)


def doubles(draft: Draft) -> Iterator[Problem]:
    """Two flavors, or two profiles, have one name."""
    names = [(("flavors", i, "name"), row.name) for i, row in draft.flavors.items()]
    yield from _doubles(names, "flavor name")
    slugs: list[tuple[Path, str]] = [
        (("profiles", i, "slug" if row.get("slug") else "display_name"), slug_of(row))
        for i, row in draft.profiles.items()
    ]
    yield from _doubles(slugs, "slug")


def _doubles(names: Iterable[tuple[Path, str]], what: str) -> Iterator[Problem]:
    first: dict[str, Path] = {}
    for path, name in names:
        if name in first:
            text = f"Two have the {what} '{name}': this and {first[name][0]}[{first[name][1]}]."
            yield Problem(path, text, "Give one of them another.")
        first.setdefault(name, path)


def durations_over_limits(draft: Draft) -> Iterator[Problem]:
    """What a claim gets that names no duration is longer than somebody may ask for."""
    span = draft.times.duration
    for path, limit in draft.personal.items():
        if limit.duration is not None and span > limit.duration:
            most = format_duration(limit.duration)
            text = f"{most} is less than `times.duration`, {format_duration(span)}."
            yield Problem((*path, "duration"), text, "Raise this, or shorten `times.duration`.")
    for index, profile in draft.profiles.items():
        yield from _profile_over_limits(index, profile, draft)


def _profile_over_limits(index: int, profile: dict[str, Any], draft: Draft) -> Iterator[Problem]:
    most = draft.everyone.duration
    own = parse_duration(profile["duration"]) if profile.get("duration") else None
    if own is not None and most is not None and own > most:
        text = f"{format_duration(own)} is more than `limits.everyone.duration`, "
        text += f"{format_duration(most)}."
        yield Problem(("profiles", index, "duration"), text, "Shorten it, or raise the limit.")


def notice_over_duration(draft: Draft) -> Iterator[Problem]:
    """The warning of the end would come before the beginning."""
    times = draft.times
    if times.notice >= times.duration:
        text = f"{format_duration(times.notice)} of notice is not shorter than `times.duration`, "
        text += f"{format_duration(times.duration)}: everybody would be warned at once."
        yield Problem(("times", "notice"), text, "Shorten it.")


def uncounted_memory(draft: Draft) -> Iterator[Problem]:
    """A limit counts memory, and a flavor does not say how much it has."""
    counted = [
        path for path, row in (*draft.personal.items(), *draft.shared.items())
        if row.memory is not None
    ]  # fmt: skip
    for index, flavor in draft.flavors.items():
        if counted and not flavor.memory:
            where = ".".join(str(part) for part in counted[0])
            text = f"`{where}.memory` counts memory, but '{flavor.name}' has none: it is free."
            yield Problem(("flavors", index), text, "Add `memory`, such as 80 GiB.")


def shadowed_flavors(draft: Draft) -> Iterator[Problem]:
    """A flavor never gets a device, since one above it takes each that it could have."""
    rows = list(draft.flavors.items())
    for number, (index, flavor) in enumerate(rows):
        above = next((row for _, row in rows[:number] if _takes_all_of(row, flavor)), None)
        if above:
            text = f"'{flavor.name}' never gets a device: '{above.name}' above it takes them all."
            remedy = "Put the narrower one first, or tell them apart by model, profile or selector."
            yield Problem(("flavors", index), text, remedy, Severity.WARNING)


def _takes_all_of(wide: FlavorSettings, narrow: FlavorSettings) -> bool:
    same = (wide.profile, wide.sharing) == (narrow.profile, narrow.sharing)
    model = wide.model == "*" or wide.model.lower() == narrow.model.lower()
    return same and model and wide.selector.items() <= narrow.selector.items()


def simulated_time_on_real_devices(draft: Draft) -> Iterator[Problem]:
    """The clock of a trial together with devices that people use."""
    if draft.simulation.clock_file is not None and draft.inventory.source == "nvml":
        text = "A simulated clock would end real people's leases at wrong times."
        yield Problem(("simulation", "clock_file"), text, "Remove it, or simulate the GPUs too.")


RULES: Final[tuple[Callable[[Draft], Iterable[Problem]], ...]] = (
    unknown_flavors,
    unknown_resources,
    two_ways_to_ask,
    incomplete_asks,
    too_many_devices,
    taken_option_names,
    doubles,
    several_defaults,
    durations_over_limits,
    notice_over_duration,
    uncounted_memory,
    shadowed_flavors,
    simulated_time_on_real_devices,
)
