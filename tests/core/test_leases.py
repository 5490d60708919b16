"""The states of a lease, and the steps that lead it to its target."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mlhub.core import leases, lifecycle
from mlhub.core.errors import Conflict
from mlhub.core.leases import EndReason, LeaseStatus, Target
from mlhub.core.lifecycle import Effect, Observation, Presence, advance
from mlhub.core.policy import Policy
from tests.core.making import HOUR, MINUTE, NOON, lease

POLICY = Policy()
THERE = Observation(Presence.THERE, holder="boot/7/1", age=MINUTE)
GONE = Observation(Presence.GONE)
UNKNOWN = Observation(Presence.UNKNOWN)


def active(**more):
    return leases.attach(lease("l", "0", **more), holder="boot/7/1", started_at=NOON + MINUTE)


def step(row, seen, *, at, waiting=0):
    return advance(row, seen, policy=POLICY, waiting=waiting, price=Decimal(1), now=at)


def test_naming_the_same_holder_again_changes_nothing():
    row = active()
    assert leases.attach(row, holder="boot/7/1", started_at=NOON + HOUR) == row


def test_another_holder_is_refused():
    with pytest.raises(Conflict, match="already has a holder"):
        leases.attach(active(), holder="boot/8/1", started_at=NOON)


def test_a_lease_that_is_over_takes_no_holder():
    over = leases.end(lease("l", "0"), EndReason.RELEASED, by="root", why="maintenance")
    with pytest.raises(Conflict, match="maintenance"):
        leases.attach(over, holder="boot/7/1", started_at=NOON)


def test_the_first_reason_of_an_end_stays():
    row = leases.end(active(), EndReason.RELEASED, by="root", why="maintenance")
    assert leases.end(row, EndReason.EXPIRED, by="broker") == row


def test_its_devices_stay_taken_until_the_holders_end_is_observed():
    row = leases.end(active(), EndReason.RELEASED, by="root")
    assert row.live
    assert not leases.vacate(row, NOON + HOUR).live


def test_an_observed_holder_makes_a_held_lease_active():
    result = step(lease("l", "0"), THERE, at=NOON + 2 * MINUTE)
    assert result.lease.status is LeaseStatus.ACTIVE
    assert result.lease.started_at == NOON + MINUTE


def test_a_holder_that_began_before_the_grant_is_billed_from_the_grant_on():
    early = Observation(Presence.THERE, holder="h", age=HOUR)
    assert step(lease("l", "0"), early, at=NOON + MINUTE).lease.started_at == NOON


def test_a_holder_that_is_gone_ends_the_lease_and_bills_what_was_seen():
    row = replace(active(), seen_at=NOON + 20 * MINUTE)
    result = step(row, GONE, at=NOON + 25 * MINUTE)
    assert result.lease.status is LeaseStatus.ENDED
    assert result.lease.reason is EndReason.STOPPED
    [entry] = result.changes.usage
    assert (entry.start, entry.end) == (NOON + MINUTE, NOON + 20 * MINUTE)


def test_the_observers_own_last_sight_is_billed_too():
    gone = Observation(Presence.GONE, unseen=MINUTE)
    [entry] = step(active(), gone, at=NOON + 25 * MINUTE).changes.usage
    assert entry.end == NOON + 24 * MINUTE


def test_an_unknown_holder_changes_nothing():
    row = active()
    assert step(row, UNKNOWN, at=NOON + HOUR).changes.leases == ()


def test_sight_of_the_holder_is_not_written_each_second_but_each_minute():
    row = replace(active(), seen_at=NOON + MINUTE)
    assert not step(row, THERE, at=NOON + MINUTE + MINUTE / 2).changes
    assert step(row, THERE, at=NOON + 2 * MINUTE).changes.usage


def test_a_lease_whose_holder_never_came_ends_and_is_free_when_nothing_is_found():
    late = step(lease("l", "0"), GONE, at=NOON + 5 * MINUTE).lease
    assert (late.status, late.reason) == (LeaseStatus.ENDING, EndReason.NOT_STARTED)
    assert step(late, GONE, at=NOON + 5 * MINUTE).lease.status is LeaseStatus.ENDED


def test_a_granted_server_is_started_at_once_again_after_a_minute_and_thrice_at_most():
    row, starts = lease("l", "0", from_queue=True), []
    for seconds in range(0, 280, 10):
        result = step(row, GONE, at=NOON + seconds / 60 * MINUTE)
        starts += [seconds] * (Effect.START in result.effects)
        row = result.lease
    assert starts == [0, 60, 120]


def test_a_lease_that_was_asked_for_in_person_is_not_started_by_the_service():
    assert Effect.START not in step(lease("l", "0"), GONE, at=NOON).effects


def test_an_unused_server_from_the_queue_passes_to_the_next_after_the_claim_window():
    row = active(from_queue=True)
    assert step(row, THERE, at=NOON + 10 * MINUTE).lease.target is Target.ACTIVE
    late = step(row, THERE, at=NOON + 11 * MINUTE)
    assert (late.lease.reason, late.effects) == (EndReason.UNUSED, (Effect.STOP,))


def test_a_first_request_closes_the_claim_window():
    row = leases.use(active(from_queue=True), NOON + 2 * MINUTE)
    assert step(row, THERE, at=NOON + HOUR).lease.target is Target.ACTIVE


def test_a_lease_past_its_end_goes_on_while_nobody_waits():
    assert step(active(), THERE, at=NOON + 20 * HOUR).lease.target is Target.ACTIVE


def test_with_someone_waiting_it_warns_half_an_hour_before_and_stops_at_the_end():
    row = active()
    early = step(row, THERE, at=NOON + 7.4 * HOUR, waiting=1)
    assert Effect.WARN not in early.effects
    warned = step(row, THERE, at=NOON + 7.5 * HOUR, waiting=1)
    assert warned.effects == (Effect.WARN,)
    again = step(warned.lease, THERE, at=NOON + 7.6 * HOUR, waiting=1)
    assert again.effects == ()
    over = step(again.lease, THERE, at=NOON + 8 * HOUR, waiting=1)
    assert (over.lease.reason, over.effects) == (EndReason.EXPIRED, (Effect.STOP,))


def test_someone_who_comes_after_the_end_waits_for_the_notice():
    warned = step(active(), THERE, at=NOON + 9 * HOUR, waiting=1)
    assert warned.effects == (Effect.WARN,)
    still = step(warned.lease, THERE, at=NOON + 9.4 * HOUR, waiting=1)
    assert still.lease.target is Target.ACTIVE
    assert step(still.lease, THERE, at=NOON + 9.5 * HOUR, waiting=1).effects == (Effect.STOP,)


def test_a_warning_is_taken_back_when_nobody_waits_any_more():
    warned = step(active(), THERE, at=NOON + 7.6 * HOUR, waiting=1).lease
    after = step(warned, THERE, at=NOON + 7.7 * HOUR)
    assert after.lease.warned_at is None
    assert after.effects == (Effect.REASSURE,)
    assert [record.action for record in after.changes.audit] == ["extended"]


def test_a_holder_that_does_not_stop_is_ended_by_force():
    row = step(leases.end(active(), EndReason.RELEASED, by="root"), THERE, at=NOON + HOUR)
    assert row.effects == (Effect.STOP,)
    later = step(row.lease, THERE, at=NOON + HOUR + MINUTE / 2)
    assert later.effects == (Effect.STOP, Effect.KILL)
    assert later.lease.live


def test_every_change_of_state_leaves_one_audit_record():
    assert [r.action for r in step(lease("l", "0"), THERE, at=NOON + MINUTE).changes.audit] == [
        "active"
    ]
    assert [r.action for r in step(active(), GONE, at=NOON + HOUR).changes.audit] == ["ended"]


@given(
    at=some.integers(0, 9 * 60),
    seen=some.none() | some.integers(-130, 5),
    billed=some.none() | some.integers(-130, 5),
    from_queue=some.booleans(),
    used=some.booleans(),
    waiting=some.integers(0, 1),
)
def test_a_lease_that_just_goes_on_is_led_as_every_other(at, seen, billed, **more):
    """What is passed over for speed changes nothing that a whole step would not."""
    now = NOON + 2 * MINUTE + at * MINUTE
    row = replace(
        active(from_queue=more["from_queue"]),
        used_at=NOON + MINUTE if more["used"] else None,
        seen_at=None if seen is None else now + seen * MINUTE / 60,
        billed_until=None if billed is None else now + billed * MINUTE / 60,
    )
    short = step(row, THERE, at=now, waiting=more["waiting"])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(lifecycle, "_goes_on", lambda *_: False)
        whole = step(row, THERE, at=now, waiting=more["waiting"])
    assert (short.effects, short.changes) == (whole.effects, whole.changes)
