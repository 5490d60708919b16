"""What contradicts itself in the profiles: one function for each rule."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from mlhub.configuration.draft import Draft
from mlhub.configuration.problems import Path, Problem
from mlhub.configuration.profiles import RESERVED, RESOURCE_KEYS, overrides
from mlhub.core.quantities import plural

GPU_RESOURCE: Final = "nvidia.com/"
GPU_OPTIONS: Final = frozenset({"gpu", "count"})  # what `gpus: any` brings


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
    for path, gpu in gpu_overrides(draft):
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


def _overrides(draft: Draft) -> Iterator[tuple[Path, dict[str, Any]]]:
    for index, profile in draft.profiles.items():
        for path, override in overrides(profile):
            yield ("profiles", index, *path), override


def gpu_overrides(draft: Draft) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every `gpu` section of every override, with its path."""
    for path, override in _overrides(draft):
        if override.get("gpu"):
            yield (*path, "gpu"), override["gpu"]


def _gpu_resources(limits: Any) -> list[str]:
    names = limits if isinstance(limits, dict) else {}
    return [name for name, amount in names.items() if _is_gpu(name) and str(amount) != "0"]


def _is_gpu(name: str) -> bool:
    return name.startswith(GPU_RESOURCE)
