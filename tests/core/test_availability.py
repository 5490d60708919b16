"""What is free, held, kept and out of service, as the form and the pages count it."""

from dataclasses import replace
from datetime import timedelta

from mlhub.core.availability import DeviceState, availability, would_wait
from mlhub.core.devices import Node, Sharing
from mlhub.core.policy import Limit, Policy
from tests.core.making import (
    A100,
    HOUR,
    NOON,
    T4,
    a100s,
    claim,
    device,
    inventory,
    lease,
    ledger,
    sick,
)  # fmt: skip

POLICY = Policy(flavors=(A100, T4))


def counts(state):
    return (state.total, state.free, state.kept, state.held, state.out_of_service)


def states(state):
    return [str(state.devices[uuid]) for uuid in sorted(state.devices)]


def test_a_free_flavor_is_free():
    a100, t4 = availability(ledger(), inventory(*a100s(2)), POLICY, NOON)
    assert (counts(a100), a100.now, a100.max_count) == ((2, 2, 0, 0, 0), True, 2)
    assert (counts(t4), t4.now, t4.max_count) == ((0, 0, 0, 0, 0), False, 0)


def test_what_is_leased_is_held():
    held = ledger(lease("l", "n1-0"))
    a100, _ = availability(held, inventory(*a100s(2)), POLICY, NOON)
    assert (counts(a100), states(a100)) == ((2, 1, 0, 1, 0), ["held", "free"])


def test_what_is_sick_or_on_a_closed_node_is_out_of_service():
    first, second = a100s(2)
    there = inventory(sick(first), second, *a100s(1, "n2"), n2=Node("n2", schedulable=False))
    a100, _ = availability(ledger(), there, POLICY, NOON)
    assert counts(a100) == (3, 1, 0, 0, 2)
    assert states(a100) == ["out-of-service", "free", "out-of-service"]


def test_a_sick_device_that_is_held_counts_as_held():
    first, second = a100s(2)
    there = inventory(sick(first), second)
    a100, _ = availability(ledger(lease("l", "n1-0")), there, POLICY, NOON)
    assert (counts(a100), states(a100)) == ((2, 1, 0, 1, 0), ["held", "free"])


def test_what_is_promised_to_the_first_in_the_queue_is_kept():
    waits = ledger(lease("l", "n1-0"), claim("c", count=2, user="bob"))
    a100, _ = availability(waits, inventory(*a100s(2)), POLICY, NOON)
    assert (counts(a100), a100.now, a100.waiting) == ((2, 1, 1, 1, 0), False, 1)
    assert states(a100) == ["held", "kept"]


def test_a_shared_device_counts_its_shares():
    shared = replace(A100, sharing=Sharing.TIME_SLICING)
    chip = device("chip", sharing=Sharing.TIME_SLICING, shares=4)
    taken = ledger(lease("l", "chip"))
    (state,) = availability(taken, inventory(chip), Policy(flavors=(shared,)), NOON)
    assert (counts(state), states(state)) == ((4, 3, 0, 1, 0), [str(DeviceState.FREE)])


def test_more_leases_than_shares_never_make_a_negative_count():
    doubled = ledger(lease("l", "n1-0"), lease("m", "n1-0"))
    a100, _ = availability(doubled, inventory(*a100s(1)), POLICY, NOON)
    assert counts(a100) == (1, 0, 0, 1, 0)


def test_who_joins_now_waits_for_those_before_them():
    waits = ledger(lease("l", "n1-0", ends_at=NOON + HOUR), claim("c", duration=HOUR, user="bob"))
    there = inventory(*a100s(1))
    last = would_wait(waits, there, POLICY, "a100", priority=0, duration=HOUR, now=NOON)
    first = would_wait(waits, there, POLICY, "a100", priority=9, duration=HOUR, now=NOON)
    assert (first.expected, last.expected) == (NOON + HOUR, NOON + timedelta(hours=2))


def test_who_might_join_is_told_a_time_where_only_members_may_have_gpus():
    policy = Policy(flavors=(A100,), everyone=Limit(devices=0), members={"lab": Limit(devices=4)})
    busy = ledger(lease("l", "n1-0", ends_at=NOON + HOUR))
    coming = would_wait(
        busy, inventory(*a100s(1)), policy, "a100", priority=0, duration=HOUR, now=NOON
    )
    assert coming.expected == NOON + HOUR


def test_nobody_can_say_when_there_will_be_what_there_never_is():
    assert would_wait(
        ledger(), inventory(*a100s(1)), POLICY, "t4", priority=0, duration=HOUR, now=NOON
    ) is None  # fmt: skip
