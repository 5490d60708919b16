"""What is asked and what is given: Ask, Claim, Placement."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum


class HolderKind(StrEnum):
    """Who uses the GPU of a lease."""

    SERVER = "server"
    COMMAND = "command"
    JOB = "job"
    ENDPOINT = "endpoint"


@dataclass(frozen=True, slots=True)
class Ask:
    """What one holder wants.

    Attributes:
        user: the JupyterHub user who will own the lease.
        server: the name of the server ("" is the default one), or of the command or job.
        flavor: the flavor's name.
        count: devices, all on one node.
        duration: how long, at least.
        wait: True to queue when it cannot be had now; False to be refused then.
        options: the JSON text that starts the server again (``user_options``).
        groups: the user's groups, at the time of asking.
    """

    user: str
    server: str
    flavor: str
    count: int
    duration: timedelta
    wait: bool = False
    kind: HolderKind = HolderKind.SERVER
    options: str = "{}"
    groups: tuple[str, ...] = ()

    @property
    def holder(self) -> tuple[HolderKind, str, str]:
        """Who will hold the lease: one holder has at most one waiting claim."""
        return (self.kind, self.user, self.server)

    def same_as(self, other: Ask) -> bool:
        """Whether both ask for the same thing; groups may have changed meanwhile."""
        return replace(self, groups=()) == replace(other, groups=())


class ClaimState(StrEnum):
    """Where a claim stands; all but ``queued`` are final."""

    QUEUED = "queued"
    GRANTED = "granted"
    DENIED = "denied"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Claim:
    """An ask that was taken down in the ledger.

    Attributes:
        key: the idempotency key it came with; unique for a user.
        priority: higher goes first.
        submitted_at: when it was first asked; its age in the queue.
        lease_id: the lease that it was granted, else "".
        why: for a denied or cancelled claim, the reason as the user was told.
        told: for a denied claim, the whole answer as JSON text, so that a repeat gets the same.
        blocked: for a queued claim that is passed over, why.
    """

    id: str
    key: str
    ask: Ask
    priority: int
    submitted_at: datetime
    state: ClaimState
    decided_at: datetime | None = None
    lease_id: str = ""
    why: str = ""
    told: str = ""
    blocked: str = ""

    @property
    def waiting(self) -> bool:
        """Whether it is in the queue."""
        return self.state is ClaimState.QUEUED


@dataclass(frozen=True, slots=True)
class Placement:
    """The node and the devices chosen for a claim.

    Attributes:
        devices: UUIDs, sorted.
        memory: MiB, of all devices together.
        shares: how many leases fit at once on each of `devices`; empty when one does on each.
    """

    node: str
    devices: tuple[str, ...]
    memory: int = 0
    shares: tuple[int, ...] = ()

    @property
    def capacities(self) -> tuple[tuple[str, int], ...]:
        """Each device with how many leases fit on it at once."""
        return tuple(zip(self.devices, self.shares or (1,) * len(self.devices), strict=True))
