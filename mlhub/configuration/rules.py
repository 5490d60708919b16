"""What contradicts itself although each setting alone is right: one function for each rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from mlhub.configuration.draft import Draft, draft_of
from mlhub.configuration.flavors import FlavorSettings
from mlhub.configuration.problems import Path, Problem, Severity
from mlhub.configuration.profiles import (
    PLACEHOLDER,
    RESERVED,
    RESOURCE_KEYS,
    overrides,
    slug_of,
)
from mlhub.configuration.schema import nearest
from mlhub.core.quantities import format_duration, parse_duration, plural

GPU_RESOURCE: Final = "nvidia.com/"
GPU_OPTIONS: Final = frozenset({"gpu", "count"})  # what `gpus: any` brings


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
    for path, gpu in _gpu_overrides(draft):
        if gpu.get("flavor") not in {None, PLACEHOLDER}:
            yield from _unknown(gpu["flavor"], (*path, "flavor"), draft)


def _unknown(name: str, path: Path, draft: Draft) -> Iterator[Problem]:
    if name in draft.flavor_names:
        return
    meant = nearest(name, draft.flavor_names)
    listed = ", ".join(draft.flavor_names)
    remedy = f"Did you mean '{meant}'?" if meant else f"There are: {listed}."
    yield Problem(path, f"There is no flavor '{name}' in `flavors`.", remedy)


def unknown_resources(draft: Draft) -> Iterator[Problem]:
    """A profile asks for GPUs as Kubernetes has them, by a resource that no flavor has."""
    known = {row.resource_name for row in draft.flavors.values()}
    if not known or len(draft.flavors) != len(draft.flavor_names):
        return
    for path, override in _overrides(draft):
        for key in RESOURCE_KEYS:
            for name in _gpu_resources(override.get(key)):
                if name not in known:
                    remedy = f"The flavors have: {', '.join(sorted(known))}."
                    yield Problem(
                        (*path, key, name), f"No flavor has '{name}'.", remedy, at_key=True
                    )


def two_ways_to_ask(draft: Draft) -> Iterator[Problem]:
    """One override asks for GPUs by our key and by Kubernetes' resource at once."""
    for path, override in _overrides(draft):
        if override.get("gpu") and _gpu_resources(override.get("extra_resource_limits")):
            text = "`gpu` and `extra_resource_limits` both ask for GPUs."
            yield Problem((*path, "gpu"), text, "Remove one of them.")
    for index, profile in draft.profiles.items():
        for path, override in overrides(profile):
            if profile.get("gpus") and override.get("gpu"):
                text = f"`gpus: {profile['gpus']}` and a choice of its own both ask for GPUs."
                yield Problem(("profiles", index, *path, "gpu"), text, "Remove one of them.")


def incomplete_asks(draft: Draft) -> Iterator[Problem]:
    """A profile says how many GPUs, and nowhere which."""
    for index, profile in draft.profiles.items():
        asks = [(path, found["gpu"]) for path, found in overrides(profile) if found.get("gpu")]
        counted = [path for path, gpu in asks if gpu.get("count") not in {None, 0}]
        if counted and not any(gpu.get("flavor") for _, gpu in asks):
            text = "It says how many GPUs, but no choice of this profile says which."
            yield Problem(("profiles", index, *counted[0], "gpu"), text, "Add `flavor`.")


def too_many_devices(draft: Draft) -> Iterator[Problem]:
    """A choice asks for more than one claim, or any person, may have."""
    most = draft.most_devices()
    for path, gpu in _gpu_overrides(draft):
        count = gpu.get("count")
        flavor = draft.flavor(str(gpu.get("flavor")))
        if not isinstance(count, int):
            continue
        if flavor and flavor.max_count is not None and count > flavor.max_count:
            text = f"It asks for {count}; `max_count` of {flavor.name} is {flavor.max_count}."
            yield Problem((*path, "count"), text)
        if most is not None and count > most:
            text = f"It asks for {count}; nobody's limit is above {plural(most, 'GPU')}."
            yield Problem((*path, "count"), text)


def taken_option_names(draft: Draft) -> Iterator[Problem]:
    """An option has a name that forms and REST bodies use for something else."""
    for index, profile in draft.profiles.items():
        brought = GPU_OPTIONS if profile.get("gpus") else frozenset()
        for name in profile.get("profile_options") or {}:
            path: Path = ("profiles", index, "profile_options", name)
            if name in brought:
                text = f"`gpus: any` brings an option '{name}' of its own."
                yield Problem(path, text, "Call this one otherwise.", at_key=True)
            elif name in RESERVED or name.endswith("--unlisted-choice"):
                text = f"'{name}' means something else in forms and REST bodies."
                yield Problem(path, text, "Call this one otherwise.", at_key=True)


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


def several_defaults(draft: Draft) -> Iterator[Problem]:
    """More than one profile, or more than one choice of an option, is the default."""
    marked: list[Path] = [
        ("profiles", i) for i, row in draft.profiles.items() if row.get("default")
    ]
    for index, profile in draft.profiles.items():
        for name, option in (profile.get("profile_options") or {}).items():
            base: Path = ("profiles", index, "profile_options", name, "choices")
            choices = (option.get("choices") or {}).items()
            chosen: list[Path] = [(*base, key) for key, row in choices if row.get("default")]
            yield from _only_one(chosen)
    yield from _only_one(marked)


def _only_one(marked: list[Path]) -> Iterator[Problem]:
    for path in marked[1:]:
        text = "Another one before it is the default already."
        yield Problem((*path, "default"), text, "Leave `default: true` at one of them.")


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


def _overrides(draft: Draft) -> Iterator[tuple[Path, dict[str, Any]]]:
    for index, profile in draft.profiles.items():
        for path, override in overrides(profile):
            yield ("profiles", index, *path), override


def _gpu_overrides(draft: Draft) -> Iterator[tuple[Path, dict[str, Any]]]:
    for path, override in _overrides(draft):
        if override.get("gpu"):
            yield (*path, "gpu"), override["gpu"]


def _gpu_resources(limits: Any) -> list[str]:
    names = limits if isinstance(limits, dict) else {}
    return [name for name, amount in names.items() if _is_gpu(name) and str(amount) != "0"]


def _is_gpu(name: str) -> bool:
    return name.startswith(GPU_RESOURCE)


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
