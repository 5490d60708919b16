"""The rules as they were configured: a value that every decision takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import TypeVar

from mlhub.core.devices import Device, Flavor, Inventory, Stock

T = TypeVar("T")
_EMPTY: Mapping[str, Limit] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Limit:
    """What may be held at an instant; None is no bound.

    Attributes:
        devices: at most so many at once.
        memory: MiB of their memory at once.
        servers: leases at once.
        flavors: the only flavors that may be used.
        duration: the longest that a claim may ask for.
    """

    devices: int | None = None
    memory: int | None = None
    servers: int | None = None
    flavors: frozenset[str] | None = None
    duration: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """Flavors, limits and times.

    Attributes:
        flavors: in the order in which they are shown and matched; empty: as the devices say.
        everyone: the limit of each user that no other applies to.
        users: by user name: instead of the others.
        members: by group name: for each member of it; the widest of a user's groups counts.
        groups: by group name: for all its members together.
        priorities: by group name; the highest of a user's groups counts, else 0.
        duration: what a claim gets that names none.
        claim_window: how long an unused server from the queue keeps its GPU.
        notice: how long before its end a holder is warned.
        start_timeout: how long a granted lease waits for its holder.
        stop_timeout: how long a holder may take to end before it is ended by force.
        waiting_limit: claims that one user may have in the queues at once.
        answer_memory: for how long an idempotency key is remembered after the claim's end.
    """

    flavors: tuple[Flavor, ...] = ()
    everyone: Limit = Limit()
    users: Mapping[str, Limit] = field(default_factory=lambda: _EMPTY)
    members: Mapping[str, Limit] = field(default_factory=lambda: _EMPTY)
    groups: Mapping[str, Limit] = field(default_factory=lambda: _EMPTY)
    priorities: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    duration: timedelta = timedelta(hours=8)
    claim_window: timedelta = timedelta(minutes=10)
    notice: timedelta = timedelta(minutes=30)
    start_timeout: timedelta = timedelta(minutes=5)
    stop_timeout: timedelta = timedelta(seconds=30)
    answer_memory: timedelta = timedelta(hours=24)
    waiting_limit: int = 20

    def flavors_in(self, inventory: Inventory) -> tuple[Flavor, ...]:
        """The flavors in force: those configured, else one for each kind of device."""
        return self._stock(inventory).flavors

    def devices_of(self, flavor: str, inventory: Inventory) -> tuple[Device, ...]:
        """The devices of one flavor, sick ones too."""
        return self._stock(inventory).devices.get(flavor, ())

    def _stock(self, inventory: Inventory) -> Stock:
        return inventory.stock(self.flavors or inventory.kinds)

    def priority(self, groups: tuple[str, ...]) -> int:
        """The place of a member of these groups in the queue; higher goes first."""
        return max((self.priorities[name] for name in groups if name in self.priorities), default=0)

    def limit_for(self, user: str, groups: tuple[str, ...]) -> Limit:
        """The limit of one user: their own, else the widest of their groups', else everyone's."""
        if user in self.users:
            return self.users[user]
        mine = [self.members[name] for name in groups if name in self.members]
        return _widest(mine) if mine else self.everyone

    def duration_for(self, user: str, groups: tuple[str, ...]) -> timedelta:
        """What a user's claim gets that names no duration: never more than they may ask for."""
        most = self.limit_for(user, groups).duration
        return self.duration if most is None else min(self.duration, most)


def _widest(limits: list[Limit]) -> Limit:
    flavors = [limit.flavors for limit in limits]
    return Limit(
        devices=_most([limit.devices for limit in limits]),
        memory=_most([limit.memory for limit in limits]),
        servers=_most([limit.servers for limit in limits]),
        flavors=None if None in flavors else frozenset().union(*(names or () for names in flavors)),
        duration=_longest([limit.duration for limit in limits]),
    )


def _most(values: list[int | None]) -> int | None:
    return None if None in values else max(value for value in values if value is not None)


def _longest(values: list[timedelta | None]) -> timedelta | None:
    return None if None in values else max(value for value in values if value is not None)
