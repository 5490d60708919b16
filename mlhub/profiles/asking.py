"""Which GPUs spawner settings ask for: by our key `gpu`, or by Kubernetes' resource names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mlhub.configuration.profiles import RESOURCE_KEYS
from mlhub.core.devices import Flavor
from mlhub.core.errors import BadInput
from mlhub.profiles.reading import WRONG_SET_UP

MOST: Final = 1024  # devices in one claim: more than any node has
GPU_VENDORS: Final = ("nvidia.com/", "amd.com/gpu", "gpu.intel.com/")


@dataclass(frozen=True, slots=True)
class GpuAsk:
    """How many GPUs of which flavor."""

    flavor: str
    count: int = 1


def gpu_ask(settings: Mapping[str, Any], flavors: Sequence[Flavor] | None) -> GpuAsk | None:
    """What the settings ask for, or None when they need no GPU.

    Args:
        settings: the spawner's, with all overrides laid over them.
        flavors: what resource names are matched to; None while they are not known.

    Raises:
        BadInput: it cannot be told which flavor, or how many.
    """
    if settings.get("gpu"):
        return _by_our_key(settings["gpu"])
    wanted = _gpu_resources(settings, flavors or ())
    if not wanted:
        return None
    if len(wanted) > 1:
        names = " and ".join(sorted(wanted))
        text = f"this choice asks for {names} at once; a server gets one kind of GPU"
        raise BadInput("gpu", text, "choose another one")
    ((resource, count),) = wanted.items()
    if flavors is None:
        raise BadInput("gpu", "which GPUs there are is not known just now", "try again in a minute")
    return GpuAsk(_flavor_of(resource, settings, flavors), count)


def _by_our_key(gpu: object) -> GpuAsk | None:
    if not isinstance(gpu, Mapping):
        raise BadInput("gpu", "`gpu` names no flavor and count", WRONG_SET_UP)
    flavor = gpu.get("flavor")
    count = whole_number(gpu.get("count", 1), "gpu.count")
    if flavor is None or flavor == "" or count == 0:
        return None
    if not isinstance(flavor, str) or len(flavor) > 200:
        raise BadInput("gpu.flavor", "this is no flavor's name", WRONG_SET_UP)
    return GpuAsk(flavor, count)


def _gpu_resources(settings: Mapping[str, Any], flavors: Sequence[Flavor]) -> dict[str, int]:
    """GPU resources that are wanted, by name; a limit says more than a guarantee."""
    known = {flavor.resource for flavor in flavors}
    found: dict[str, int] = {}
    for key in RESOURCE_KEYS:
        rows = settings.get(key)
        for name, amount in rows.items() if isinstance(rows, Mapping) else ():
            if name in known or str(name).startswith(GPU_VENDORS):
                count = whole_number(amount, f"{key}.{name}")
                found.setdefault(str(name), count)
    return {name: count for name, count in found.items() if count}


def whole_number(value: object, field: str) -> int:
    """A count from 0 to `MOST`, as a number or in digits.

    Raises:
        BadInput: it is anything else.
    """
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 4:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST:
        raise BadInput(field, f"{shown(value)} is no number of GPUs", f"choose 1 to {MOST}")
    return value


def shown(value: object) -> str:
    """Something from outside for a message: short, on one line, whatever it is."""
    if isinstance(value, str):
        return "'" + "".join(sign if sign.isprintable() else " " for sign in value[:60]) + "'"
    if isinstance(value, bool) or value is None:
        return "this"
    if isinstance(value, int | float):
        return str(value) if abs(value) < 10**15 else "so large a number"
    return "a list" if isinstance(value, list | tuple) else "an object"


def _flavor_of(resource: str, settings: Mapping[str, Any], flavors: Sequence[Flavor]) -> str:
    """The flavor with that resource whose selector the node selector names most fully."""
    nodes = settings.get("node_selector")
    labels = nodes if isinstance(nodes, Mapping) else {}
    named = [flavor for flavor in flavors if flavor.resource == resource]
    if not named:
        text = f"there are no GPUs '{resource[:60]}' here"
        raise BadInput("gpu", text, "choose another one")
    fitting = [flavor for flavor in named if _selects(labels, flavor)]
    most = max((len(flavor.selector) for flavor in fitting), default=0)
    best = [flavor for flavor in fitting if len(flavor.selector) == most]
    if len(best) == 1:
        return best[0].name
    if len(named) == 1 and not labels:
        return named[0].name
    names = ", ".join(flavor.name for flavor in best or named)
    text = f"'{resource[:60]}' with this node selector could be any of: {names}"
    raise BadInput("gpu", text, WRONG_SET_UP)


def _selects(labels: Mapping[str, Any], flavor: Flavor) -> bool:
    return all(str(labels.get(key)) == value for key, value in flavor.selector.items())
