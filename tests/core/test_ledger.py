"""The ledger as a value: changes, bills, and steps of the clock."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from mlhub.core.claims import ClaimState
from mlhub.core.invariants import examine
from mlhub.core.leases import attach, vacate
from mlhub.core.ledger import Anchor, Changes, bill, shift, step_of, step_record, stepped_back
from mlhub.core.lifecycle import Observation, Presence
from mlhub.core.policy import Limit, Policy
from mlhub.core.usage_invariants import examine_usage
from tests.core.making import HOUR, MINUTE, NOON, a100s, ask, claim, inventory, lease, ledger

SECOND = timedelta(seconds=1)


def test_a_change_makes_a_new_ledger_and_leaves_the_old_one():
    before = ledger()
    after = before.apply(Changes(claims=(claim("a"),)))
    assert (len(before.claims), len(after.claims)) == (0, 1)
    assert after.revision == before.revision + 1


@given(steps=st.lists(st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=6)))
def test_a_ledger_that_grew_in_many_steps_is_like_one_that_was_made_at_once(steps):
    said = [
        [claim(f"c{n}") if waits else denied(claim(f"c{n}")) for n, waits in step]
        for step in [[(n, False) for n in range(30)], *steps]
    ]
    books = [ledger()]
    for rows in said:
        books.append(books[-1].apply(Changes(claims=tuple(rows))))
    for number, book in enumerate(books):
        last = {row.id: row for rows in said[:number] for row in rows}
        assert dict(book.claims) == last
        assert {row.id for row in book.waiting()} == {n for n, row in last.items() if row.waiting}
        assert all(book.claim_by_key("ada", f"key-{name}") == row for name, row in last.items())


def denied(row):
    return replace(row, state=ClaimState.DENIED, decided_at=NOON)


def test_an_ended_lease_leaves_the_ledger_and_its_duration_is_remembered():
    row = attach(lease("l", "0"), holder="h", started_at=NOON)
    after = ledger(row).apply(Changes(leases=(vacate(row, NOON + HOUR),)))
    assert not after.leases
    assert after.past == {"a100": (3600.0,)}


def test_an_old_claim_is_forgotten_unless_it_waits_or_holds_a_lease():
    book = ledger(claim("waits"), lease("l", "0"))
    again = book.apply(Changes(forget=NOON + 48 * HOUR))
    assert set(again.claims) == {"waits"}
    assert again.claim_by_key("ada", "key-waits") is not None


def test_a_bill_begins_where_the_last_one_ended():
    row = attach(lease("l", "0", "1"), holder="h", started_at=NOON)
    row, [first] = bill(row, NOON + HOUR, Decimal(1))
    row, [second] = bill(row, NOON + 2 * HOUR, Decimal(1))
    assert (first.end, second.start) == (NOON + HOUR, NOON + HOUR)
    assert first.hours + second.hours == 4
    assert bill(row, NOON + 2 * HOUR, Decimal(1))[1] == ()
    assert examine_usage([first, second]).ok
    assert not examine_usage([first, first]).ok


def test_time_that_passes_is_no_step_of_the_clock():
    anchor = Anchor(NOON, 100.0, "boot")
    assert step_of(anchor, Anchor(NOON + HOUR, 3700.0, "boot"), 5 * SECOND) == timedelta(0)
    assert step_of(anchor, Anchor(NOON + 3 * SECOND, 100.0, "boot"), 5 * SECOND) == timedelta(0)
    assert step_of(anchor, Anchor(NOON - HOUR, 110.0, "boot"), 5 * SECOND) == -HOUR - 10 * SECOND
    assert step_of(anchor, Anchor(NOON - HOUR, 110.0, "another"), 5 * SECOND) == timedelta(0)


def test_a_step_of_the_clock_moves_every_running_window_with_it():
    row = attach(lease("l", "0"), holder="h", started_at=NOON)
    after = ledger(row, claim("a")).apply(shift(ledger(row, claim("a")), HOUR))
    moved = after.leases["l"]
    assert moved.ends_at - moved.started_at == row.ends_at - row.started_at
    assert (moved.started_at, moved.billed_until) == (NOON + HOUR, NOON + HOUR)
    assert after.claims["a"].submitted_at == NOON + HOUR


def test_the_records_say_by_how_much_the_clock_was_set_back():
    records = [step_record(step, NOON) for step in (HOUR, -MINUTE, -2 * MINUTE)]
    assert stepped_back(records) == 3 * MINUTE


def broken(book, **rules):
    found = examine(book, inventory(*a100s(2)), Policy(**rules), rules.pop("seen", {}), NOON)
    return [row.invariant for row in found if not row.ok]


def test_the_invariants_hold_of_a_sound_ledger_and_name_what_breaks_them():
    assert broken(ledger(lease("l", "n1-0"), lease("m", "n1-1", user="bob"))) == []
    assert broken(ledger(lease("l", "n1-0"), lease("m", "n1-0", server="b"))) == ["I1"]
    assert broken(ledger(lease("l", "n1-0", "n1-1")), everyone=Limit(devices=1)) == ["I2"]
    one = attach(lease("l", "n1-0"), holder="h", started_at=NOON)
    two = attach(lease("m", "n1-1"), holder="h", started_at=NOON)
    assert broken(ledger(one, two)) == ["I3"]


def test_a_lease_whose_holder_is_long_gone_breaks_an_invariant():
    row = attach(lease("l", "n1-0"), holder="h", started_at=NOON - HOUR)
    seen = {"l": Observation(Presence.GONE)}
    book = ledger(vacated := row)
    found = examine(book, inventory(*a100s(1)), Policy(), seen, NOON + 5 * MINUTE)
    assert vacated.live
    assert [f.invariant for f in found if not f.ok] == ["I6"]


def test_groups_do_not_make_an_ask_another_one():
    assert ask(groups=("a",)).same_as(ask(groups=("b",)))
    assert not ask(count=1).same_as(ask(count=2))
