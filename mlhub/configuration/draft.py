"""The parts of a document that are right by themselves, so that rules can look at a broken one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from mlhub.configuration.flavors import (
    FlavorSettings,
    GroupLimitSettings,
    LimitSettings,
    TimesSettings,
)
from mlhub.configuration.problems import Path
from mlhub.configuration.profiles import Profile
from mlhub.configuration.sections import InventorySettings, SimulationSettings

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Draft:
    """What can be understood of a document.

    Attributes:
        flavor_names: of all flavors, of those that have other mistakes too.
        flavors: those without a mistake, by their place in the list.
        personal: limits of persons, by path; `shared` those of whole groups.
        profiles: those without a mistake, as they were written, by their place in the list.
    """

    flavor_names: tuple[str, ...]
    flavors: dict[int, FlavorSettings]
    personal: dict[Path, LimitSettings]
    shared: dict[Path, GroupLimitSettings]
    profiles: dict[int, dict[str, Any]]
    times: TimesSettings
    inventory: InventorySettings
    simulation: SimulationSettings

    @property
    def everyone(self) -> LimitSettings:
        """The limit of each person that no other applies to."""
        return self.personal.get(("limits", "everyone"), LimitSettings())

    def flavor(self, name: str) -> FlavorSettings | None:
        """The flavor of that name, when it is right."""
        return next((row for row in self.flavors.values() if row.name == name), None)

    def most_devices(self) -> int | None:
        """The most GPUs that anybody may hold at once; None: no bound."""
        bounds = [row.devices for row in (self.everyone, *self.personal.values())]
        return None if None in bounds else max(bound for bound in bounds if bound is not None)


def draft_of(data: dict[str, Any]) -> Draft:
    """The parts of a document that are right."""
    limits = _mapping(data.get("limits"))
    flavors = _list(data.get("flavors"))
    profiles = _list(data.get("profiles"))
    found = {i: _valid(FlavorSettings, row) for i, row in enumerate(flavors)}
    return Draft(
        flavor_names=tuple(str(row["name"]) for row in flavors if "name" in _mapping(row)),
        flavors={i: row for i, row in found.items() if row},
        personal=dict(_personal(limits)),
        shared=dict(_named(GroupLimitSettings, limits, "groups")),
        profiles={i: row for i, row in enumerate(profiles) if _valid(Profile, row)},
        times=_valid(TimesSettings, _mapping(data.get("times"))) or TimesSettings(),
        inventory=_valid(InventorySettings, data.get("inventory")) or InventorySettings(),
        simulation=_valid(SimulationSettings, data.get("simulation")) or SimulationSettings(),
    )


def _personal(limits: dict[str, Any]) -> Iterator[tuple[Path, LimitSettings]]:
    if everyone := _valid(LimitSettings, limits.get("everyone")):
        yield ("limits", "everyone"), everyone
    for kind in ("users", "members"):
        yield from _named(LimitSettings, limits, kind)


def _named(model: type[Model], limits: dict[str, Any], kind: str) -> Iterator[tuple[Path, Model]]:
    for name, row in _mapping(limits.get(kind)).items():
        if limit := _valid(model, row):
            yield ("limits", kind, name), limit


def _valid(model: type[Model], row: Any) -> Model | None:
    try:
        return model.model_validate(row)
    except ValidationError:
        return None


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
