"""The quota service's answers as values; what a newer service adds is passed over."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BeforeValidator

from mlhub.core.decisions import Forecast

Time = AwareDatetime


@dataclass(frozen=True, slots=True)
class LeaseView:
    """A lease as its owner or an operator may see it; `core.leases.Lease` says what each means.

    Attributes:
        memory_mib: of all its devices together.
        window_closes_at: until when its owner has to open the server; None where no window runs.
        expected_end: when it ends if somebody waits then.
        waiting: how many claims wait for its flavor.
        simulated: whether its devices are.
    """

    id: str
    user: str
    server: str
    flavor: str
    count: int
    node: str
    devices: tuple[str, ...]
    memory_mib: int
    status: str
    target: str
    granted_at: Time
    ends_at: Time
    claim_id: str = ""
    kind: str = "server"
    from_queue: bool = False
    start_by: Time | None = None
    started_at: Time | None = None
    used_at: Time | None = None
    window_closes_at: Time | None = None
    expected_end: Time | None = None
    warned_at: Time | None = None
    ended_at: Time | None = None
    reason: str | None = None
    why: str = ""
    by: str = ""
    waiting: int = 0
    simulated: bool = False


def _id_of(value: Any) -> Any:
    return value.get("id", "") if isinstance(value, dict) else value


@dataclass(frozen=True, slots=True)
class ClaimAnswer:
    """How a claim stands.

    Attributes:
        state: `granted`, `queued`, `denied` or `cancelled`.
        claim: its id; "" for a denied one of which nothing was kept.
        lease: what was granted.
        position: 1 is the next in the queue.
        expected: when its turn can be expected; None when that is not known.
        expected_at: the middle of it.
    """

    state: str
    reason: str = ""
    message: str = ""
    claim: Annotated[str, BeforeValidator(_id_of)] = ""
    lease: LeaseView | None = None
    position: int | None = None
    expected: Forecast | None = None
    expected_at: Time | None = None


@dataclass(frozen=True, slots=True)
class LeasePage:
    """A part of a list of leases; `next` is the `before` of the part that follows."""

    items: tuple[LeaseView, ...]
    next: int | None = None


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
        problem: why it may be out of date; "" when it is not.
    """

    taken_at: Time
    simulated: bool
    flavors: tuple[FlavorView, ...]
    nodes: tuple[NodeView, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class WaitingView:
    """A claim in the queue; `user` is None where the asker may not know it."""

    id: str
    flavor: str
    count: int
    position: int
    submitted_at: Time
    user: str | None = None
    mine: bool = False
    priority: int = 0
    expected: Forecast | None = None
    blocked: str = ""


@dataclass(frozen=True, slots=True)
class LimitsView:
    """What one person may hold at once; None is no bound."""

    devices: int | None = None
    memory_mib: int | None = None
    servers: int | None = None
    flavors: tuple[str, ...] | None = None
    duration_s: float | None = None


@dataclass(frozen=True, slots=True)
class UseView:
    """What one person holds."""

    devices: int = 0
    memory_mib: int = 0
    servers: int = 0


@dataclass(frozen=True, slots=True)
class MeView:
    """The asker: who they are to the service, what they may, have, wait for, and had."""

    user: str
    operator: bool = False
    groups: tuple[str, ...] = ()
    limits: LimitsView = LimitsView()
    use: UseView = UseView()
    claims: tuple[WaitingView, ...] = ()
    leases: tuple[LeaseView, ...] = ()
    ended: tuple[LeaseView, ...] = ()


@dataclass(frozen=True, slots=True)
class TicketView:
    """A short-lived credential for reading; never to be logged."""

    ticket: str
    expires_at: datetime

    def __repr__(self) -> str:
        return f"TicketView(expires_at={self.expires_at!r})"


@dataclass(frozen=True, slots=True)
class Finding:
    """What the service found about one invariant of its ledger."""

    invariant: str
    ok: bool
    detail: str = ""
