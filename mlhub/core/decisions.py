"""The three answers to a claim: Granted | Queued | Denied, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from mlhub.core.claims import Claim
from mlhub.core.leases import Lease


class Reason(StrEnum):
    """Which rule decided; the word is the same in the API, the metrics and the pages."""

    GRANTED = "granted"
    NO_CAPACITY = "no-capacity"
    BEHIND_OTHERS = "behind-others"
    UNKNOWN_FLAVOR = "unknown-flavor"
    TOO_MANY = "too-many"
    FLAVOR_NOT_ALLOWED = "flavor-not-allowed"
    DEVICE_LIMIT = "device-limit"
    MEMORY_LIMIT = "memory-limit"
    SERVER_LIMIT = "server-limit"
    DURATION_LIMIT = "duration-limit"
    GROUP_LIMIT = "group-limit"
    QUEUE_LIMIT = "queue-limit"
    OUT_OF_SERVICE = "out-of-service"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Forecast:
    """When a waiting claim is expected to be granted.

    The range holds in about four of five cases: it comes from the first and last tenth of how
    long past leases of the flavor were really held.
    """

    soonest: datetime
    expected: datetime
    latest: datetime


@dataclass(frozen=True, slots=True)
class Granted:
    """The lease is the asker's."""

    claim: Claim
    lease: Lease


@dataclass(frozen=True, slots=True)
class Queued:
    """It waits: `position` 1 is the next one for this flavor.

    Attributes:
        forecast: None when nothing is known of when a device will be free.
    """

    claim: Claim
    position: int
    forecast: Forecast | None
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Denied:
    """It is refused, and nothing is kept of it but the answer.

    Attributes:
        limit, used: of the rule that said no, where it counts something.
        unit: what they count: ``GPUs``, ``MiB``, ``servers``, ``seconds``.
        retry_at: when asking again may go better; None when it never will under these rules.
        group: whose limit it is, "" where it is no group's.
    """

    reason: Reason
    message: str
    limit: int | None = None
    used: int | None = None
    unit: str = ""
    retry_at: datetime | None = None
    group: str = ""


Decision = Granted | Queued | Denied
