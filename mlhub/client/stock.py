"""What exists and what is free, as the quota service tells it to one asker."""

from __future__ import annotations

from dataclasses import dataclass

from mlhub.client.answers import Time
from mlhub.core.decisions import Forecast


@dataclass(frozen=True, slots=True)
class HolderView:
    """Who has a device, as far as the asker may know."""

    user: str
    server: str = ""
    since: Time | None = None


@dataclass(frozen=True, slots=True)
class DeviceView:
    """One device. `state` is `free`, `held`, `kept` (for the next in the queue), `out-of-service`.

    Attributes:
        memory_mib: of the whole device.
        shares: leases that fit on it at once.
        warning: a sign to look into, of one that is given out all the same; for operators only.
        utilisation: percent; None when it is not known.
    """

    uuid: str
    model: str
    memory_mib: int
    state: str
    index: int = 0
    profile: str | None = None
    sharing: str = "none"
    shares: int = 1
    flavor: str | None = None
    trouble: str = ""
    warning: str = ""
    holder: HolderView | None = None
    utilisation: float | None = None
    memory_used_mib: int | None = None


@dataclass(frozen=True, slots=True)
class NodeView:
    """A machine and its devices."""

    name: str
    schedulable: bool = True
    trouble: str = ""
    devices: tuple[DeviceView, ...] = ()


@dataclass(frozen=True, slots=True)
class FlavorView:
    """One flavor as it stands for the asker.

    Attributes:
        kept: free, but promised to the head of the queue.
        max_count: the most that one claim can get.
        now: whether one would be granted at once.
        expected: when the turn of one who joined now would come.
        why_not: why the asker may not use it.
    """

    name: str
    display_name: str
    total: int
    free: int
    held: int
    kept: int
    out_of_service: int
    waiting: int
    max_count: int
    now: bool
    allowed: bool = True
    why_not: str = ""
    description: str = ""
    memory_mib: int = 0
    sharing: str = "none"
    resource: str = ""
    price: float = 0.0
    expected: Forecast | None = None


@dataclass(frozen=True, slots=True)
class InventoryView:
    """What exists and what is free, at an instant.

    Attributes:
        now: the time that every other one here is told by; the reader's own clock may be wrong.
        taken_at: when the hardware last answered.
        problem: why it may be out of date; "" when it is not.
    """

    now: Time
    taken_at: Time
    simulated: bool
    flavors: tuple[FlavorView, ...]
    nodes: tuple[NodeView, ...] = ()
    problem: str = ""
