"""The order of waiting claims, who may pass whom, and when a waiting claim can expect its turn."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from mlhub.core.claims import Claim, Placement
from mlhub.core.decisions import Forecast
from mlhub.core.devices import Device
from mlhub.core.leases import Lease, expected_end
from mlhub.core.placement import free_units, place

ENOUGH_PAST: Final = 5  # fewer past leases say less than the promised end does
QUANTILES: Final = (0.1, 0.5, 0.9)
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
class Plan:
    """Who gets devices now, and what is promised to the first that does not.

    Attributes:
        promise: when that one can expect them, and which; None when nobody is promised any.
    """

    grants: tuple[Grant, ...]
    promise: Promise | None = None


@dataclass(frozen=True, slots=True)
class Supply:
    """What a flavor has at an instant.

    Attributes:
        devices: those that may be given out, taken or not.
        taken: live leases on each, by UUID.
        ends: when each live lease on them is expected to end, with its devices.
    """

    devices: tuple[Device, ...]
    taken: Mapping[str, int]
    ends: tuple[tuple[datetime, tuple[str, ...]], ...]


def supply_of(
    devices: tuple[Device, ...], leases: Iterable[Lease], now: datetime, notice: timedelta
) -> Supply:
    """The supply of one flavor from its open devices and all live leases."""
    known = {device.uuid for device in devices}
    taken: dict[str, int] = {}
    ends = []
    for lease in leases:
        mine = tuple(uuid for uuid in lease.placement.devices if uuid in known)
        for uuid in mine:
            taken[uuid] = taken.get(uuid, 0) + 1
        if mine:
            ends.append((expected_end(lease, now, notice), mine))
    return Supply(devices, taken, tuple(sorted(ends)))


def plan(queue: Sequence[Claim], supply: Supply, now: datetime) -> Plan:
    """Which waiting claims of one flavor get devices now; `queue` is in order.

    EASY backfill (Lifka, "The ANL/IBM SP Scheduling System", 1995): the first that does not fit
    gets a promise, namely the devices of the node that will have enough for it soonest, and a
    later claim may pass it only on other devices or if it will have ended by then.
    """
    taken = dict(supply.taken)
    ends = list(supply.ends)
    grants: list[Grant] = []
    promise: Promise | None = None
    for claim in queue:
        if not free_units(supply.devices, taken):
            break
        found = _turn(claim, supply.devices, taken, promise, now)
        if found:
            grants.append(Grant(claim, found))
            ends.append((now + claim.ask.duration, found.devices))
            for uuid in found.devices:
                taken[uuid] = taken.get(uuid, 0) + 1
        elif promise is None:
            promise = _promise(claim.ask.count, supply.devices, sorted(ends), taken)
    return Plan(tuple(grants), promise)


def _turn(
    claim: Claim,
    devices: tuple[Device, ...],
    taken: Mapping[str, int],
    promise: Promise | None,
    now: datetime,
) -> Placement | None:
    if promise is None or now + claim.ask.duration <= promise[0]:
        return place(devices, claim.ask.count, taken)
    others = tuple(device for device in devices if device.uuid not in promise[1])
    return place(others, claim.ask.count, taken)


def _promise(
    count: int,
    devices: tuple[Device, ...],
    ends: Sequence[tuple[datetime, tuple[str, ...]]],
    taken: Mapping[str, int],
) -> Promise | None:
    """When and where `count` are free on one node if all ends as expected; None if never."""
    left = dict(taken)
    for at, uuids in ends:
        for uuid in uuids:
            left[uuid] = left.get(uuid, 0) - 1
        if found := place(devices, count, left):
            return at, frozenset(found.devices)
    return None


def forecasts(
    queue: Sequence[Claim],
    supply: Supply,
    leases: Iterable[Lease],
    past: Sequence[float],
    now: datetime,
) -> dict[str, Forecast]:
    """When each claim of one flavor's queue can expect its turn, by claim id.

    The queue is played forward three times: with the first tenth, the middle and the last tenth
    of what past leases of the flavor leave to expect, given how long each has run already. With
    fewer than five past leases the promised ends are all that is known.
    """
    held = tuple(leases)
    rounds = [_play(queue, supply, held, past, now, quantile) for quantile in QUANTILES]
    return {
        claim.id: Forecast(*sorted(times[claim.id] for times in rounds))
        for claim in queue
        if all(claim.id in times for times in rounds)
    }


def _play(
    queue: Sequence[Claim],
    supply: Supply,
    leases: tuple[Lease, ...],
    past: Sequence[float],
    now: datetime,
    quantile: float,
) -> dict[str, datetime]:
    """When each claim would start: units of the flavor as a heap of the times they are free."""
    promised = {uuids: at for at, uuids in supply.ends}
    known = {device.uuid for device in supply.devices}
    free: list[float] = []
    for lease in leases:
        mine = tuple(uuid for uuid in lease.placement.devices if uuid in known)
        end = _remaining(lease, promised.get(mine, now), past, now, quantile)
        free.extend([end] * len(mine))
    units = sum(device.shares for device in supply.devices)
    free.extend([0.0] * (units - len(free)))
    heapq.heapify(free)
    return _walk(queue, free, past, now, quantile)


def _walk(
    queue: Sequence[Claim], free: list[float], past: Sequence[float], now: datetime, quantile: float
) -> dict[str, datetime]:
    starts: dict[str, datetime] = {}
    typical = _quantile(sorted(past), quantile) if len(past) >= ENOUGH_PAST else None
    for claim in queue:
        count = claim.ask.count
        if count > len(free):
            continue
        begin = max([heapq.heappop(free) for _ in range(count)])
        lasts = claim.ask.duration.total_seconds()
        lasts = lasts if typical is None else min(lasts, typical)
        for _ in range(count):
            heapq.heappush(free, begin + lasts)
        starts[claim.id] = now + timedelta(seconds=begin)
    return starts


def _remaining(
    lease: Lease, promised: datetime, past: Sequence[float], now: datetime, quantile: float
) -> float:
    """Seconds until a lease ends: what past ones that lasted longer had left, at a quantile."""
    bound = max(0.0, (promised - now).total_seconds())
    run = (now - (lease.started_at or lease.granted_at)).total_seconds()
    longer = sorted(held - run for held in past if held > run)
    if len(past) < ENOUGH_PAST or not longer:
        return bound
    return min(bound, _quantile(longer, quantile))


def _quantile(values: Sequence[float], quantile: float) -> float:
    return values[min(len(values) - 1, int(quantile * len(values)))]
