"""What the broker needs of the world: small Protocols that the adapters implement."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol, TypeVar

from mlhub.core.devices import Inventory
from mlhub.core.leases import Lease
from mlhub.core.ledger import Anchor, AuditRecord, Changes, Ledger, UsageEntry
from mlhub.core.lifecycle import Observation

T = TypeVar("T")
Decide = Callable[[Ledger, Anchor], tuple[T, Changes]]


class Store(Protocol):
    """The ledger, kept. One process at a time owns it."""

    async def open(self, owner: str) -> None:
        """Bring the schema up to date and become the owner; a former owner is fenced off.

        Raises:
            NotOwner: another process owns it and is alive.
            SchemaMismatch: a newer mlhub wrote it.
            LedgerUnavailable: it cannot be reached.
        """

    async def update(self, decide: Decide[T]) -> T:
        """Let `decide` see the ledger and the clocks, and keep what it changes, in one transaction.

        `decide` is pure and may be called again. When this returns, the changes are durable;
        when it raises, nothing was changed.

        Raises:
            NotOwner: another process has become the owner.
            LedgerUnavailable: the database is away or stays busy.
        """

    async def snapshot(self) -> Ledger:
        """The ledger as of the last commit."""

    async def close(self) -> None:
        """Give up ownership."""


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a long list: at most `limit` rows with a number below `before`."""

    limit: int = 100
    before: int | None = None


class History(Protocol):
    """What is over. Rows come newest first, each with the number to ask for the next page with."""

    async def ended_leases(self, user: str | None, page: Page) -> list[tuple[int, Lease]]:
        """Ended leases, of one user or of all."""

    async def ended_lease(self, lease_id: str) -> Lease | None:
        """One ended lease; None when there is none of that id, or it is live."""

    async def usage(self, user: str | None, page: Page) -> list[tuple[int, UsageEntry]]:
        """Usage entries, of one user or of all."""

    async def audit(self, user: str | None, page: Page) -> list[tuple[int, AuditRecord]]:
        """Audit records, about one user or all."""


class Clock(Protocol):
    """Time where no database keeps it, and the monotonic clock everywhere."""

    @property
    def simulated(self) -> bool:
        """Whether it is moved by hand: then its time counts, even where a database keeps one."""

    def now(self) -> datetime:
        """The wall clock: aware, UTC."""

    def monotonic(self) -> float:
        """Seconds since the machine's start, sleep included."""

    def boot(self) -> str:
        """What identifies this start of the machine."""


class InventorySource(Protocol):
    """What exists, from the hardware."""

    async def read(self) -> Inventory:
        """The inventory now; without hardware an empty one.

        Raises:
            InventoryUnavailable: the hardware could not be asked.
        """


class HolderSource(Protocol):
    """Who runs on what was leased."""

    async def observe(self, leases: Sequence[Lease]) -> Mapping[str, Observation]:
        """What is seen of each lease's holder, by lease id."""

    async def kill(self, lease: Lease) -> None:
        """End by force what is left of the holder."""


@dataclass(frozen=True, slots=True)
class DeviceUse:
    """One process on one device.

    Attributes:
        memory: MiB that it holds there; None when the driver does not say.
        lease_id: the lease in its environment, "" if there is none.
        user: the OS user that it belongs to, "" when that is not known.
        graphics: True when it only draws, as a desktop does, and does not compute.
    """

    device: str
    pid: int
    user: str
    memory: int | None = None
    lease_id: str = ""
    graphics: bool = False


@dataclass(frozen=True, slots=True)
class DeviceLoad:
    """How busy a device is: percent of the time, and MiB of its memory that are in use.

    None is unknown, never idle: MIG has no GPU_UTIL.
    """

    device: str
    utilisation: float | None
    memory_used: int | None


class UsageSource(Protocol):
    """What really runs on the devices."""

    async def processes(self) -> list[DeviceUse]:
        """Every process on every device."""

    async def load(self) -> list[DeviceLoad]:
        """How busy each device is."""


@dataclass(frozen=True, slots=True)
class HubUser:
    """A user as the hub knows them."""

    name: str
    admin: bool
    groups: tuple[str, ...]


class ServerState(StrEnum):
    """A server as the hub sees it; ``stopping`` and ``starting`` are its pending states."""

    ABSENT = "absent"
    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"


class HubPort(Protocol):
    """The part of JupyterHub's API that the broker uses.

    Raises (all methods):
        HubUnavailable: it did not answer; ask again later.
        HubRefused: it answered and said no, such as for a sign-in that has gone stale.
    """

    async def user(self, name: str) -> HubUser | None:
        """The user, or None when there is none (any more)."""

    async def start(self, user: str, server: str, options: str) -> None:
        """Ask for a server to be started with these user options (JSON text)."""

    async def stop(self, user: str, server: str) -> None:
        """Ask for a server to be stopped; one that does not run is no error."""

    async def state(self, user: str, server: str) -> ServerState:
        """What the hub says of that server."""


class Notifier(Protocol):
    """Telling people and pages that something changed."""

    def changed(self, topic: str, user: str = "") -> None:
        """Something of ``inventory``, ``queue`` or ``leases`` changed, for all or one user."""

    def tell(self, user: str, event: str, text: str, lease_id: str = "") -> None:
        """A message for one user, in their words."""
