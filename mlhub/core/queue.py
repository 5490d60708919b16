"""The order of waiting claims, who gets devices now, and who may pass whom."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from mlhub.core.claims import Claim, Placement
from mlhub.core.devices import Device
from mlhub.core.leases import Lease, free_at
from mlhub.core.placement import place, with_room
from mlhub.core.policy import Policy

Promise = tuple[datetime, frozenset[str]]


def ordered(claims: Iterable[Claim]) -> list[Claim]:
    """The queue: higher priority first, then the older claim; the id settles a tie."""
    return sorted(claims, key=lambda claim: (-claim.priority, claim.submitted_at, claim.id))


@dataclass(frozen=True, slots=True)
class Grant:
    """A waiting claim and what it gets."""

    claim: Claim
    placement: Placement


@dataclass(frozen=True, slots=True)
class Occupied:
    """A live lease on some of the devices.

    Attributes:
        devices: those of them that it is on.
        until: when they are expected to be free; None when nobody can say.
    """

    lease: Lease
    devices: tuple[str, ...]
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Supply:
    """What a flavor has at an instant.

    Attributes:
        devices: those that may be given out, taken or not.
        taken: live leases on each, by UUID.
        occupied: the live leases on them.
        notice: how long before its end the holder of a lease is warned.
        start: how long a lease may wait for its holder.
    """

    devices: tuple[Device, ...]
    taken: Mapping[str, int]
    occupied: tuple[Occupied, ...]
    notice: timedelta
    start: timedelta

    @property
    def ends(self) -> list[tuple[datetime, tuple[str, ...]]]:
        """When devices become free, and which, in the order of time, where that is known."""
        return sorted((row.until, row.devices) for row in self.occupied if row.until)


def supply_of(
    devices: tuple[Device, ...], leases: Iterable[Lease], now: datetime, policy: Policy
) -> Supply:
    """The supply of one flavor from its open devices and all live leases."""
    known = {device.uuid for device in devices}
    taken: dict[str, int] = {}
    occupied = []
    for lease in leases:
        mine = tuple(uuid for uuid in lease.placement.devices if uuid in known)
        for uuid in mine:
            taken[uuid] = taken.get(uuid, 0) + 1
        if mine:
            until = free_at(lease, now, policy.notice, policy.stop_timeout)
            occupied.append(Occupied(lease, mine, until))
    start = max(policy.start_timeout, policy.claim_window)
    return Supply(devices, taken, tuple(occupied), policy.notice, start)


class Planner:
    """Gives the devices of one flavor to waiting claims, which are offered them in their order.

    EASY backfill (Lifka, "The ANL/IBM SP Scheduling System", 1995): the first that does not fit
    gets a promise, namely the devices of the node that will have enough for it soonest, and a
    later claim may pass it only on other devices or if it will have ended by then.

    Attributes:
        promise: to the first claim that did not fit.
    """

    def __init__(self, supply: Supply, now: datetime) -> None:
        self.promise: Promise | None = None
        self._now = now
        # Nobody's server stops before they had notice, however short a time they asked for.
        self._least = supply.start + supply.notice
        self._devices = supply.devices
        self._taken = dict(supply.taken)
        self._ends = list(supply.ends)
        self._free = with_room(supply.devices, self._taken)
        # Claims of one size get the same answer until a device is given out: a long queue is
        # gone through at the cost of its grants.
        self._tried: dict[tuple[int, bool], Placement | None] = {}
        self._never = math.inf  # so many and more will be on no node, whatever ends

    @property
    def full(self) -> bool:
        """Whether nothing is left to give."""
        return not self._free

    def offer(self, claim: Claim) -> Grant | None:
        """What the claim gets now, if anything; it then counts as given."""
        if self.full:
            return None
        found = self._turn(claim)
        if found:
            self._take(claim, found)
            return Grant(claim, found)
        if self.promise is None and claim.ask.count < self._never:
            ends = sorted(self._ends)
            self.promise = _promise(claim.ask.count, self._devices, ends, self._taken)
            self._never = claim.ask.count if self.promise is None else self._never
        return None

    def _turn(self, claim: Claim) -> Placement | None:
        passes = self.promise is None or self._end(claim) <= self.promise[0]
        key = (claim.ask.count, passes)
        if key not in self._tried:
            kept = frozenset() if passes or self.promise is None else self.promise[1]
            devices = (device for device in self._free if device.uuid not in kept)
            self._tried[key] = place(devices, claim.ask.count, self._taken)
        return self._tried[key]

    def _end(self, claim: Claim) -> datetime:
        """When it will have ended at the latest, if it starts now and someone waits."""
        return self._now + max(claim.ask.duration, self._least)

    def _take(self, claim: Claim, found: Placement) -> None:
        self._ends.append((self._end(claim), found.devices))
        for uuid in found.devices:
            self._taken[uuid] = self._taken.get(uuid, 0) + 1
        self._free = with_room(self._free, self._taken)
        self._tried.clear()


def _promise(
    count: int,
    devices: tuple[Device, ...],
    ends: Iterable[tuple[datetime, tuple[str, ...]]],
    taken: Mapping[str, int],
) -> Promise | None:
    """When and where `count` are free on one node if all ends as expected; None if never."""
    left = dict(taken)
    known = {device.uuid: device for device in devices}
    open_on = Counter(device.node for device in with_room(devices, taken))
    for at, uuids in ends:
        for device in (known[uuid] for uuid in uuids):
            open_on[device.node] += left[device.uuid] == device.shares
            left[device.uuid] -= 1
            if open_on[device.node] >= count:
                there = (row for row in devices if row.node == device.node)
                found = place(there, count, left)
                return (at, frozenset(found.devices)) if found else None
    return None
