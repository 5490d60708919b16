"""When each waiting claim of a flavor can expect its turn."""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from collections.abc import Sequence
from datetime import datetime, timedelta
from heapq import heapify, heapreplace
from typing import Final

from mlhub.core.claims import Claim
from mlhub.core.decisions import Forecast
from mlhub.core.leases import Target
from mlhub.core.queue import Occupied, Supply

ENOUGH_PAST: Final = 5  # fewer past leases say less than the promised end does
QUANTILES: Final = (0.1, 0.5, 0.9)


def forecasts(
    queue: Sequence[Claim], supply: Supply, past: Sequence[float], now: datetime
) -> dict[str, Forecast]:
    """When each claim of one flavor's queue can expect its turn, by claim id.

    The queue is played forward three times, node by node: with the first tenth, the middle and the
    last tenth of what past leases of the flavor leave to expect, given how long each has run
    already. Where fewer than five past ones tell of that, the promised end is all that is known.

    Args:
        queue: in order, without the claims that are passed over.
        supply: what there is.
        past: how long the last leases were held, in seconds.
        now: the ledger's time.
    """
    history = sorted(past)
    quantiles = QUANTILES if len(history) >= ENOUGH_PAST else QUANTILES[:1]
    rounds = [_play(queue, supply, history, now, quantile) for quantile in quantiles]
    found = {}
    for claim in queue:
        if all(claim.id in starts for starts in rounds):
            times = sorted(now + timedelta(seconds=starts[claim.id]) for starts in rounds)
            found[claim.id] = Forecast(times[0], times[len(times) // 2], times[-1])
    return found


def _play(
    queue: Sequence[Claim], supply: Supply, history: list[float], now: datetime, quantile: float
) -> dict[str, float]:
    """In how many seconds each claim would start; those that never would are left out."""
    hall = _Hall(_seats(supply, history, now, quantile))
    typical = _quantile(history, quantile) if len(history) >= ENOUGH_PAST else math.inf
    starts = {}
    for claim in queue:
        lasts = min(max(claim.ask.duration, supply.notice).total_seconds(), typical)
        begin = hall.take(claim.ask.count, lasts)
        if begin < math.inf:
            starts[claim.id] = begin
    return starts


def _seats(supply: Supply, history: list[float], now: datetime, quantile: float) -> list[_Node]:
    """Each node with the seconds until each of its devices can serve one more lease, and more."""
    ends: dict[str, list[float]] = {}
    for row in supply.occupied:
        left = _remaining(row, history, now, quantile)
        for uuid in row.devices:
            ends.setdefault(uuid, []).append(left)
    nodes: dict[str, list[list[float]]] = {}
    for device in supply.devices:
        units = sorted([0.0] * device.shares + ends.get(device.uuid, []))[-device.shares :]
        nodes.setdefault(device.node, []).append(units)
    return [_Node(devices) for devices in nodes.values()]


def _remaining(row: Occupied, history: list[float], now: datetime, quantile: float) -> float:
    """Seconds until a lease's devices are free, at a quantile.

    A lease that runs within its promised time may well end before: what past ones that lasted
    longer had left tells when. One that is past its time goes on until its holder is warned.
    """
    if row.until is None:
        return math.inf
    bound = (row.until - now).total_seconds()
    if row.lease.target is Target.ENDED or now >= row.lease.ends_at:
        return bound
    run = (now - (row.lease.started_at or row.lease.granted_at)).total_seconds()
    longer = bisect_right(history, run)
    if len(history) - longer < ENOUGH_PAST:
        return bound
    return min(bound, _quantile(history[longer:], quantile) - run)


def _quantile(values: Sequence[float], quantile: float) -> float:
    return values[min(len(values) - 1, int(quantile * len(values)))]


class _Node:
    """The devices of one node: for each, the seconds until each lease on it ends, as a heap."""

    def __init__(self, devices: list[list[float]]) -> None:
        self._devices = devices
        for units in devices:
            heapify(units)
        self._next = sorted((units[0], index) for index, units in enumerate(devices))

    def when(self, count: int) -> float:
        """When so many of its devices are free together."""
        return self._next[count - 1][0] if len(self._next) >= count else math.inf

    def take(self, count: int, until: float) -> None:
        """Occupy the first that are free."""
        mine, self._next = self._next[:count], self._next[count:]
        for _, index in mine:
            heapreplace(self._devices[index], until)
            insort(self._next, (self._devices[index][0], index))


class _Hall:
    """All nodes; the one where a claim can start first is found without asking each."""

    def __init__(self, nodes: list[_Node]) -> None:
        self._nodes = nodes
        self._first: dict[int, list[tuple[float, int]]] = {}

    def take(self, count: int, lasts: float) -> float:
        """Seconds until so many devices of one node are free, which then are taken."""
        begin, node = self._soonest(count)
        if node is not None and begin < math.inf:
            node.take(count, begin + lasts)
        return begin

    def _soonest(self, count: int) -> tuple[float, _Node | None]:
        if count not in self._first:
            first = [(node.when(count), index) for index, node in enumerate(self._nodes)]
            heapify(first)
            self._first[count] = first
        heap = self._first[count]
        while heap:
            # What was taken since makes a node free later, never sooner.
            known, index = heap[0]
            begin = self._nodes[index].when(count)
            if begin <= known:
                return begin, self._nodes[index]
            heapreplace(heap, (begin, index))
        return math.inf, None
