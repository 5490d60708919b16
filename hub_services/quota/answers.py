"""What clients are answered: the shapes of the API, which its document is made from."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

Time = AwareDatetime


class Answer(BaseModel):
    """An answer's body."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ForecastView(Answer):
    """When something can be expected; it comes within the range in about four of five cases."""

    soonest: Time
    expected: Time
    latest: Time


class LeaseView(Answer):
    """A lease."""

    id: str
    claim_id: str
    user: str
    server: str
    kind: str
    flavor: str
    count: int
    node: str
    devices: list[str] = Field(description="UUIDs")
    memory_mib: int = Field(description="of all devices together")
    status: Literal["held", "active", "ending", "ended"] = Field(description="what was observed")
    target: Literal["active", "ended"] = Field(description="what it shall become")
    from_queue: bool
    granted_at: Time
    start_by: Time
    started_at: Time | None
    used_at: Time | None
    window_closes_at: Time | None = Field(
        description="until when its owner has to open the server; null where no window runs"
    )
    ends_at: Time
    expected_end: Time | None = Field(description="when it ends if somebody waits then")
    warned_at: Time | None
    ended_at: Time | None
    reason: str | None
    why: str
    by: str
    waiting: int = Field(description="claims that its end would help")
    simulated: bool


class RenewalView(LeaseView):
    """A lease that its holder wanted to end later, and what came of that."""

    outcome: Literal["renewed", "shortened", "later-already"] = Field(
        description="shortened: to the longest that one may ask for"
    )
    message: str = Field(description="the same in words")


class ClaimView(Answer):
    """How a claim stands."""

    state: Literal["granted", "queued", "denied", "cancelled"]
    claim: str = Field(description="its id")
    user: str
    server: str
    flavor: str
    count: int
    reason: str = Field(description="the rule that decided")
    message: str
    lease: LeaseView | None = None
    position: int | None = None
    expected: ForecastView | None = None
    expected_at: Time | None = None
    limit: int | None = None
    used: int | None = None
    unit: str | None = None
    retry_at: Time | None = None


class FlavorView(Answer):
    """A flavor as it stands for the asker. Counts are units that one lease takes."""

    name: str
    display_name: str
    description: str
    memory_mib: int
    sharing: str
    resource: str
    price: float = Field(description="credits for one device and hour")
    total: int
    free: int
    held: int
    kept: int = Field(description="free, but promised to the first in the queue")
    out_of_service: int
    waiting: int
    max_count: int = Field(description="the most that one claim can ever get")
    now: bool = Field(description="whether one would be granted at once")
    expected: ForecastView | None = Field(description="for one who joined the queue now")
    allowed: bool
    why_not: str


class HolderView(Answer):
    """Who has a device."""

    user: str
    server: str
    since: Time


class DeviceView(Answer):
    """One device."""

    uuid: str
    index: int
    model: str
    memory_mib: int
    profile: str | None
    sharing: str
    shares: int
    flavor: str | None
    state: Literal["free", "held", "kept", "out-of-service"]
    trouble: str
    warning: str = Field(description="a sign to look into; empty unless the asker is an operator")
    holder: HolderView | None = Field(description="null unless the asker may know")
    utilisation: float | None = Field(description="percent")
    memory_used_mib: int | None


class NodeView(Answer):
    """A machine and its devices."""

    name: str
    schedulable: bool
    trouble: str
    devices: list[DeviceView]


class WaitingView(Answer):
    """A claim in the queue."""

    id: str
    user: str | None = Field(description="null unless the asker may know")
    mine: bool
    server: str | None
    flavor: str
    count: int
    priority: int
    position: int
    submitted_at: Time
    expected: ForecastView | None
    blocked: str = Field(description="why it is passed over")


class QueuePage(Answer):
    """A part of the queues, flavor by flavor, in their order."""

    items: list[WaitingView]
    next: int | None


class LimitsView(Answer):
    """What one user may hold at once; null is no bound."""

    devices: int | None
    memory_mib: int | None
    servers: int | None
    flavors: list[str] | None
    duration_s: int | None


class UseView(Answer):
    """What one user holds."""

    devices: int
    memory_mib: int
    servers: int


class MineView(Answer):
    """What the asker may hold, holds and waits for."""

    limits: LimitsView
    use: UseView
    claims: list[WaitingView]
    leases: list[LeaseView]


class InventoryView(Answer):
    """What exists and what is free."""

    now: Time = Field(description="the time that every other one is told by")
    taken_at: Time = Field(description="when the hardware last answered")
    simulated: bool
    problem: str = Field(description="why it may be out of date")
    flavors: list[FlavorView]
    nodes: list[NodeView]
    mine: MineView | None = Field(None, description="the asker's own, where it was asked for")


class NoticeView(Answer):
    """What a user was told lately."""

    number: int
    event: str
    text: str
    lease_id: str
    at: Time


class MeView(MineView):
    """The asker."""

    user: str
    groups: list[str]
    operator: bool
    ended: list[LeaseView]
    notices: list[NoticeView]


class LeasePage(Answer):
    """A part of a list of leases, newest first."""

    items: list[LeaseView]
    next: int | None


class UsageView(Answer):
    """One observed interval of use."""

    lease_id: str
    user: str
    server: str
    groups: list[str]
    flavor: str
    devices: list[str]
    start: Time
    end: Time
    hours: float = Field(description="device-hours")
    price: float = Field(description="credits for one device and hour")


class UsagePage(Answer):
    """A part of the usage entries, newest first."""

    items: list[UsageView]
    next: int | None


class AuditView(Answer):
    """Who did what, and when."""

    at: Time
    actor: str
    action: str
    subject: str
    user: str
    detail: str


class AuditPage(Answer):
    """A part of the audit, newest first."""

    items: list[AuditView]
    next: int | None


class FindingView(Answer):
    """One thing that must hold, and whether it does."""

    invariant: str
    says: str
    ok: bool
    detail: str
    looked_at: str


class TicketView(Answer):
    """A read-only credential for one user's browser."""

    ticket: str
    expires_at: Time


class ProblemView(BaseModel):
    """Problem details (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    field: str | None = None
    problem: str | None = None
    remedy: str | None = None
    state: str | None = None
    claim: str | None = None
    reason: str | None = None
    limit: int | None = None
    used: int | None = None
    unit: str | None = None
    retry_at: Time | None = None
