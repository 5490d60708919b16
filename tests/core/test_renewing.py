"""A lease that shall end later: what is done, and what its holder is told."""

import pytest

from mlhub.core.errors import Conflict
from mlhub.core.leases import EndReason, end
from mlhub.core.renewing import RenewalOutcome, renew
from tests.core.making import HOUR, MINUTE, NOON, lease

LATER = NOON + 2 * HOUR


def test_a_lease_ends_as_much_later_as_was_asked_for_and_its_warning_is_taken_back():
    done = renew(lease("l", "0", warned_at=NOON), 9 * HOUR, LATER)
    assert (done.lease.ends_at, done.lease.warned_at) == (LATER + 9 * HOUR, None)
    assert (done.outcome, done.message) == (RenewalOutcome.RENEWED, "It now ends in 9 h.")


def test_a_renewal_never_shortens_a_lease_and_says_that_nothing_was_changed():
    row = lease("l", "0")
    done = renew(row, HOUR, LATER)
    assert (done.lease, done.outcome, done.refused) == (row, RenewalOutcome.LATER_ALREADY, False)
    assert done.message.startswith("It ends in 6 h,")


def test_more_than_the_longest_is_shortened_and_said():
    done = renew(lease("l", "0"), 30 * HOUR, LATER, longest=8 * HOUR)
    assert (done.outcome, done.lease.ends_at) == (RenewalOutcome.SHORTENED, LATER + 8 * HOUR)
    assert done.message == (
        "You asked for 1 d 6 h; the longest you may ask for is 8 h: it now ends in 8 h."
    )


def test_one_that_has_the_longest_already_is_told_when_to_try_again():
    row = lease("l", "0")
    done = renew(row, 30 * HOUR, NOON + MINUTE / 2, longest=8 * HOUR)
    assert (done.lease, done.outcome, done.refused) == (row, RenewalOutcome.AT_MAXIMUM, True)
    assert "8 h from now is the most: extend it nearer to its end" in done.message


@pytest.mark.parametrize(("hours", "words"), [(2, "it ends in 6 h"), (9, "its time is over")])
def test_while_others_wait_it_is_not_extended_and_its_end_is_named(hours, words):
    row = lease("l", "0")
    done = renew(row, 9 * HOUR, NOON + hours * HOUR, waiting=3)
    assert (done.lease, done.outcome, done.refused) == (row, RenewalOutcome.OTHERS_WAIT, True)
    assert done.message == f"3 waiting for this flavor: it cannot be extended now; {words}."


def test_a_lease_that_is_over_stays_over():
    over = end(lease("l", "0"), EndReason.RELEASED, by="root", why="maintenance")
    with pytest.raises(Conflict, match="maintenance"):
        renew(over, HOUR, NOON)
