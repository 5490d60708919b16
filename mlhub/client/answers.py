"""The quota service's answers as values; what a newer service adds is passed over."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pydantic import AwareDatetime

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


@dataclass(frozen=True, slots=True)
class RenewalView(LeaseView):
    """A lease that its holder wanted to end later.

    Attributes:
        outcome: what came of that: `renewed`, `shortened` to the most, or `later-already`.
        message: the same in words.
    """

    outcome: str = ""
    message: str = ""


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
    claim: str = ""
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
class WaitingView:
    """A claim in the queue; `user` and `server` are None where the asker may not know them."""

    id: str
    flavor: str
    count: int
    position: int
    submitted_at: Time
    user: str | None = None
    server: str | None = None
    mine: bool = False
    priority: int = 0
    expected: Forecast | None = None
    blocked: str = ""


@dataclass(frozen=True, slots=True)
class QueuePage:
    """A part of the queues; `next` is the `after` of the part that follows."""

    items: tuple[WaitingView, ...]
    next: int | None = None


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
class NoticeView:
    """What a person was told lately."""

    number: int
    event: str
    text: str
    lease_id: str = ""
    at: datetime | None = None


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
    notices: tuple[NoticeView, ...] = ()


@dataclass(frozen=True, slots=True)
class TicketView:
    """A short-lived credential for reading; never to be logged."""

    ticket: str
    expires_at: datetime

    def __repr__(self) -> str:
        return f"TicketView(expires_at={self.expires_at!r})"


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether the service does its work; `reasons` say why not."""

    status: str
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """What the service found about one invariant of its ledger, what that says, and of what."""

    invariant: str
    ok: bool
    says: str = ""
    detail: str = ""
    looked_at: str = ""
