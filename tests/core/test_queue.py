"""The order of the queue, who may pass whom, and what those who wait are told to expect."""

from dataclasses import dataclass
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlhub.core.forecasts import forecasts
from mlhub.core.leases import EndReason, end
from mlhub.core.policy import Policy
from mlhub.core.queue import Grant, Planner, Promise, ordered, supply_of
from tests.core.making import HOUR, MINUTE, NOON, a100s, claim, device, lease

NOTICE = 30 * MINUTE
SECOND = timedelta(seconds=1)


@dataclass
class Plan:
    """Who gets devices now, and what is promised to the first that does not."""

    grants: list[Grant]
    promise: Promise | None


def plan(queue, supply, now):
    """What comes of offering everything to a queue in its order."""
    planner = Planner(supply, now)
    offered = [planner.offer(claim) for claim in queue]
    return Plan([grant for grant in offered if grant], planner.promise)


def supply(devices, *leases, now=NOON):
    return supply_of(tuple(devices), leases, now, Policy())


def granted(result):
    return {grant.claim.id: grant.placement.devices for grant in result.grants}


def test_priority_goes_before_age_and_age_before_the_rest():
    rows = [
        claim("late", at=NOON + MINUTE),
        claim("old", at=NOON),
        claim("urgent", at=NOON + HOUR, priority=5),
    ]
    assert [row.id for row in ordered(rows)] == ["urgent", "old", "late"]


def test_a_free_device_goes_to_the_first_in_the_queue():
    result = plan([claim("a"), claim("b")], supply(a100s(1)), NOON)
    assert list(granted(result)) == ["a"]


def test_a_large_claim_is_not_starved_by_small_ones():
    busy = lease("l", "n1-0", ends_at=NOON + 2 * HOUR)
    queue = [claim("large", count=2), claim("small", count=1, duration=8 * HOUR)]
    result = plan(queue, supply(a100s(2), busy), NOON)
    assert granted(result) == {}
    assert result.promise == (NOON + 2 * HOUR, frozenset({"GPU-n1-0", "GPU-n1-1"}))


def test_a_small_claim_that_ends_in_time_may_pass_a_large_one():
    busy = lease("l", "n1-0", ends_at=NOON + 2 * HOUR)
    queue = [claim("large", count=2), claim("small", count=1, duration=2 * HOUR)]
    assert list(granted(plan(queue, supply(a100s(2), busy), NOON))) == ["small"]


def test_a_short_claim_passes_only_if_its_holder_has_had_notice_by_then():
    busy = lease("l", "n1-0", ends_at=NOON + 39 * MINUTE)
    queue = [claim("large", count=2), claim("short", count=1, duration=5 * MINUTE)]
    assert granted(plan(queue, supply(a100s(2), busy), NOON)) == {}
    later = lease("l", "n1-0", ends_at=NOON + 40 * MINUTE)
    assert list(granted(plan(queue, supply(a100s(2), later), NOON))) == ["short"]


def test_a_claim_may_pass_on_devices_that_are_not_promised():
    devices = [*a100s(2, "n1"), *a100s(1, "n2")]
    busy = lease("l", "n1-0", ends_at=NOON + 2 * HOUR)
    queue = [claim("large", count=2), claim("small", count=1)]
    assert granted(plan(queue, supply(devices, busy), NOON)) == {"small": ("GPU-n2-0",)}


def test_a_claim_that_can_never_fit_blocks_nobody():
    queue = [claim("huge", count=8), claim("small")]
    assert list(granted(plan(queue, supply(a100s(2)), NOON))) == ["small"]


def test_a_lease_granted_in_the_same_pass_counts_for_the_promise():
    queue = [claim("first", count=1, duration=HOUR), claim("large", count=2), claim("long")]
    result = plan(queue, supply(a100s(2)), NOON)
    assert list(granted(result)) == ["first"]
    assert result.promise is not None
    assert result.promise[0] == NOON + HOUR


def test_with_few_past_leases_the_promised_end_is_what_is_expected():
    busy = lease("l", "n1-0", ends_at=NOON + 2 * HOUR)
    queue = [claim("a"), claim("b", duration=HOUR)]
    coming = forecasts(queue, supply(a100s(1), busy), (), NOON)
    assert coming["a"].expected == coming["a"].latest == NOON + 2 * HOUR
    assert coming["b"].expected == NOON + 10 * HOUR


def test_past_durations_make_the_forecast_a_range_within_the_promise():
    busy = lease("l", "n1-0", at=NOON - HOUR, started_at=NOON - HOUR, ends_at=NOON + 7 * HOUR)
    past = tuple(3600.0 * hours for hours in (0.5, 1.5, 2, 2, 2, 3, 3, 4, 6, 8))
    coming = forecasts([claim("a")], supply(a100s(1), busy), past, NOON)["a"]
    assert NOON < coming.soonest < coming.expected < coming.latest <= NOON + 7 * HOUR
    assert coming.expected == NOON + 2 * HOUR


def test_a_lease_past_its_end_is_expected_to_end_after_the_notice():
    over = lease("l", "n1-0", at=NOON - 9 * HOUR, ends_at=NOON - HOUR)
    coming = forecasts([claim("a")], supply(a100s(1), over), (), NOON)["a"]
    assert coming.expected == NOON + NOTICE


def test_a_lease_past_its_end_is_not_expected_to_end_by_itself_however_long_others_were_held():
    over = lease("l", "n1-0", at=NOON - 9 * HOUR, ends_at=NOON - HOUR)
    past = tuple(9 * 3600.0 + i for i in range(1, 20))
    coming = forecasts([claim("a")], supply(a100s(1), over), past, NOON)["a"]
    assert (coming.soonest, coming.latest) == (NOON + NOTICE, NOON + NOTICE)


def test_few_past_leases_that_lasted_as_long_say_nothing_of_when_one_ends():
    busy = lease("l", "n1-0", at=NOON - 7 * HOUR, ends_at=NOON + HOUR)
    past = (600.0,) * 100 + (7 * 3600.0 + 3,)
    assert forecasts([claim("a")], supply(a100s(1), busy), past, NOON)["a"].expected == NOON + HOUR


def ending(*, asked, **more):
    return end(lease("l", "n1-0", stop_asked_at=asked, **more), EndReason.RELEASED, by="root")


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        pytest.param(None, NOON + SECOND * 30, id="not asked yet: as long as it may take"),
        pytest.param(NOON - SECOND * 10, NOON + SECOND * 20, id="what is left of that"),
        pytest.param(NOON - MINUTE, NOON, id="being ended by force: any moment"),
    ],
)
def test_a_lease_that_ends_is_free_when_its_holder_has_stopped(asked, expected):
    coming = forecasts([claim("a")], supply(a100s(1), ending(asked=asked)), (), NOON)
    assert coming["a"].expected == expected


def test_when_a_holder_that_does_not_stop_will_is_not_known():
    stuck = ending(asked=NOON - 3 * MINUTE)
    other = lease("o", "n1-1", ends_at=NOON + HOUR)
    queue = [claim("a"), claim("big", count=2, user="bob")]
    have = supply(a100s(2), stuck, other)
    assert {name: row.expected for name, row in forecasts(queue, have, (), NOON).items()} == {
        "a": NOON + HOUR
    }
    assert forecasts([claim("a")], supply(a100s(1), stuck), (), NOON) == {}


def test_a_lease_that_ends_makes_no_room_for_long_ones_before_the_head():
    released = ending(asked=NOON)
    queue = [claim("large", count=2), claim("small", duration=HOUR)]
    result = plan(queue, supply(a100s(2), released), NOON)
    assert (granted(result), result.promise and result.promise[0]) == ({}, NOON + SECOND * 30)


def test_a_claim_for_many_waits_for_them_on_one_node():
    held = [lease(f"l{i}", f"n{i}-0", ends_at=NOON + i * HOUR) for i in (1, 2)]
    devices = [*a100s(2, "n1"), *a100s(2, "n2")]
    queue = [claim("large", count=2), claim("small", user="bob")]
    coming = forecasts(queue, supply(devices, *held), (), NOON)
    assert (coming["large"].expected, coming["small"].expected) == (NOON + HOUR, NOON)


def test_a_claim_for_two_shared_gpus_waits_for_two_chips():
    chips = [device(name, shares=2, sharing="time-slicing") for name in ("n1-0", "n1-1")]
    held = [lease(f"l{i}", "n1-0", ends_at=NOON + i * HOUR) for i in (1, 2)]
    coming = forecasts([claim("a", count=2)], supply(chips, *held), (), NOON)
    assert coming["a"].expected == NOON + HOUR


counts = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 600)), max_size=12)


@given(counts, counts, st.integers(1, 6))
def test_no_plan_ever_delays_the_promise_or_books_a_device_twice(running, waiting, size):
    devices = a100s(size)
    free = [row.uuid.removeprefix("GPU-") for row in devices]
    held = []
    for i, (count, minutes) in enumerate(running):
        if count <= len(free):
            mine, free = free[:count], free[count:]
            held.append(lease(f"l{i}", *mine, ends_at=NOON + minutes * MINUTE + NOTICE))
    queue = [
        claim(f"c{i}", at=NOON + i * MINUTE, count=count, duration=minutes * MINUTE, user=f"u{i}")
        for i, (count, minutes) in enumerate(waiting)
    ]
    result = plan(queue, supply(devices, *held), NOON)
    given_out = [uuid for uuids in granted(result).values() for uuid in uuids]
    assert len(given_out) == len(set(given_out))
    assert not set(given_out) & {uuid for row in held for uuid in row.placement.devices}
    first_left = next(
        (c for c in queue if c.id not in granted(result) and c.ask.count <= size), None
    )
    if result.promise and first_left:
        passed = [g for g in result.grants if g.claim.submitted_at > first_left.submitted_at]
        for grant in passed:
            ends_in_time = NOON + grant.claim.ask.duration <= result.promise[0]
            assert ends_in_time or not set(grant.placement.devices) & result.promise[1]


class Counted(tuple):
    """Devices that count how often they are gone through."""

    looks = 0

    def __iter__(self):
        Counted.looks += 1
        return super().__iter__()


def test_a_long_queue_looks_at_the_devices_for_its_grants_and_not_for_each_claim():
    busy = [lease(f"l{i}", f"n1-{i}", ends_at=NOON + HOUR) for i in range(3)]
    queue = [claim(f"c{i:03}", count=4 + i % 2, user=f"u{i}") for i in range(300)]
    have = supply_of(Counted(a100s(4)), busy, NOON, Policy())
    Counted.looks = 0
    result = plan(queue, have, NOON)
    assert (result.grants, result.promise and result.promise[0]) == ([], NOON + HOUR)
    assert Counted.looks <= 10


def test_shared_devices_count_by_their_shares():
    shared = device("s", shares=3, sharing="time-slicing")
    queue = [claim(f"c{i}", at=NOON + timedelta(seconds=i), user=f"u{i}") for i in range(4)]
    assert list(granted(plan(queue, supply([shared]), NOON))) == ["c0", "c1", "c2"]
