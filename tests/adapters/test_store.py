"""What every ledger keeps to: in memory, in SQLite and in PostgreSQL."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from mlhub.broker.ports import Page
from mlhub.core.claims import ClaimState
from mlhub.core.errors import BrokenInvariant, LedgerUnavailable, NotFound
from mlhub.core.ledger import Anchor, Changes
from tests.adapters.deciding import does, note, over, used
from tests.core.making import HOUR, NOON, claim, lease

EVERYTHING = Page(limit=1000)


def denied(row):
    return replace(row, state=ClaimState.DENIED, decided_at=row.submitted_at, why="no")


async def test_an_update_gives_back_its_value_and_its_changes_are_seen(store):
    told = await store.update(does(value="done", claims=[claim("c1")], leases=[lease("l1", "a")]))
    ledger = await store.snapshot()
    assert told == "done"
    assert ledger.claims == {"c1": claim("c1")}
    assert ledger.leases == {"l1": lease("l1", "a")}
    assert ledger.claim_by_key("ada", "key-c1") == claim("c1")


async def test_a_decision_sees_what_was_decided_before(store):
    await store.update(does(claims=[claim("c1")]))
    assert await store.update(lambda ledger, _: (list(ledger.claims), Changes())) == ["c1"]


async def test_a_decision_that_raises_changes_nothing(store):
    def fail(ledger, anchor):
        raise NotFound("there is no such lease")

    await store.update(does(claims=[claim("c1")]))
    before = await store.snapshot()
    with pytest.raises(NotFound, match="no such lease"):
        await store.update(fail)
    assert await store.snapshot() == before


async def test_a_decision_that_runs_out_of_an_iterator_is_an_error_of_its_asker_alone(store):
    with pytest.raises(RuntimeError):
        await asyncio.wait_for(store.update(lambda *_: next(iter(()))), 10)
    assert await store.update(does(value="still here")) == "still here"


async def test_one_that_raises_does_not_disturb_those_that_wait_with_it(store):
    def fail(ledger, anchor):
        raise NotFound("not this one")

    decisions = [fail if n % 3 == 0 else does(value=n, claims=[claim(f"c{n}")]) for n in range(30)]
    told = await asyncio.gather(*map(store.update, decisions), return_exceptions=True)
    good = [n for n in range(30) if n % 3]
    assert [value for value in told if not isinstance(value, Exception)] == good
    assert sum(isinstance(value, NotFound) for value in told) == 10
    assert set((await store.snapshot()).claims) == {f"c{n}" for n in good}


async def test_a_hundred_at_once_are_decided_one_after_the_other(store):
    def take_one(ledger, anchor):
        row = claim(f"c{len(ledger.claims)}")
        return len(ledger.claims), Changes(claims=(row,))

    told = await asyncio.gather(*(store.update(take_one) for _ in range(100)))
    assert sorted(told) == list(range(100))
    assert len((await store.snapshot()).claims) == 100


async def test_an_update_that_changes_nothing_is_no_commit(store):
    await store.update(does(claims=[claim("c1")]))
    before = (await store.snapshot()).revision
    await store.update(does())
    assert (await store.snapshot()).revision == before


async def test_each_commit_has_the_next_revision(store):
    revisions = []
    for number in range(3):
        await store.update(does(claims=[claim(f"c{number}")]))
        revisions.append((await store.snapshot()).revision)
    assert revisions == [revisions[0], revisions[0] + 1, revisions[0] + 2]


async def test_a_decision_is_told_the_clocks_and_the_commit_keeps_them(store, clock):
    clock.advance(timedelta(hours=3))
    seen = await store.update(lambda _, anchor: (anchor, Changes(audit=(note("it is late"),))))
    assert seen == Anchor(NOON + 3 * HOUR, clock.monotonic(), clock.boot())
    assert (await store.snapshot()).anchor == seen


async def test_an_anchor_that_a_decision_gives_is_the_one_that_is_kept(store):
    given = Anchor(NOON, 42.5, "boot-7")
    await store.update(does(anchor=given))
    assert (await store.snapshot()).anchor == given


async def test_a_device_is_not_given_to_two_leases(store):
    await store.update(does(leases=[lease("l1", "a")]))
    before = await store.snapshot()
    with pytest.raises(BrokenInvariant):
        await store.update(does(leases=[lease("l2", "b", "a")]))
    assert await store.snapshot() == before


async def test_of_those_that_wait_together_only_the_one_that_takes_a_taken_device_is_refused(store):
    asked = [does(value=d, leases=[lease(f"l{n}", d)]) for n, d in enumerate("abac")]
    told = await asyncio.gather(*map(store.update, asked), return_exceptions=True)
    assert [t if isinstance(t, str) else type(t) for t in told] == ["a", "b", BrokenInvariant, "c"]


async def test_a_shared_device_is_given_as_often_as_it_fits(store):
    def shared(name):
        row = lease(name, "a")
        return replace(row, placement=replace(row.placement, shares=(2,)))

    await store.update(does(leases=[shared("l1")]))
    await store.update(does(leases=[shared("l2")]))
    with pytest.raises(BrokenInvariant):
        await store.update(does(leases=[shared("l3")]))
    await store.update(does(leases=[over(shared("l1"))]))
    await store.update(does(leases=[shared("l3")]))
    await store.update(does(leases=[over(shared("l2")), over(shared("l3"))]))
    await store.update(does(leases=[shared("l4"), shared("l5")]))
    assert set((await store.snapshot()).leases) == {"l4", "l5"}


async def test_a_device_passes_from_an_ended_lease_to_the_next_in_one_update(store):
    first = lease("l1", "a", "b")
    await store.update(does(leases=[first]))
    await store.update(does(leases=[over(first), lease("l2", "b", "a")]))
    assert set((await store.snapshot()).leases) == {"l2"}


async def test_ended_leases_are_listed_newest_first_and_page_by_page(store):
    rows = [lease(f"l{n}", f"d{n}", user="ada" if n % 2 else "bob") for n in range(6)]
    await store.update(does(leases=rows))
    for row in rows:
        await store.update(does(leases=[over(row)]))
    first = await store.ended_leases(None, Page(limit=4))
    rest = await store.ended_leases(None, Page(limit=4, before=first[-1][0]))
    assert [row.id for _, row in first + rest] == ["l5", "l4", "l3", "l2", "l1", "l0"]
    assert [row for _, row in first + rest] == [over(row) for row in reversed(rows)]
    assert [row.id for _, row in await store.ended_leases("bob", EVERYTHING)] == ["l4", "l2", "l0"]
    assert (await store.snapshot()).leases == {}


async def test_one_ended_lease_is_found_by_its_id_and_a_live_one_is_not(store):
    first, second = lease("l1", "a"), lease("l2", "b", user="bob")
    await store.update(does(leases=[first, second]))
    await store.update(does(leases=[over(first)]))
    assert await store.ended_lease("l1") == over(first)
    for name in ("l2", "none", "", "l1\0", "l\ud8001", "'; --", "é"):
        assert await store.ended_lease(name) is None, name


async def test_usage_and_audit_are_listed_newest_first_and_page_by_page(store):
    row = lease("l1", "a", groups=("lab", "staff"))
    entries = [used(row, hours) for hours in (1, 2, 3)]
    notes = [note("one"), note("two", user="bob"), note("three")]
    await store.update(does(leases=[row], usage=entries[:2], audit=notes[:1]))
    await store.update(does(usage=entries[2:], audit=notes[1:]))
    assert [entry for _, entry in await store.usage("ada", EVERYTHING)] == entries[::-1]
    assert await store.usage("bob", EVERYTHING) == []
    listed = await store.audit(None, Page(limit=2))
    assert [record for _, record in listed] == [notes[2], notes[1]]
    older = await store.audit(None, Page(limit=2, before=listed[-1][0]))
    assert [record for _, record in older] == [notes[0]]
    assert [record for _, record in await store.audit("bob", EVERYTHING)] == [notes[1]]


async def test_a_key_can_be_used_again_once_its_claim_is_forgotten(store):
    old, new = claim("c1"), replace(claim("c2"), key="key-c1")
    await store.update(does(claims=[denied(old)]))
    await store.update(does(forget=NOON + HOUR))
    assert (await store.snapshot()).claims == {}
    await store.update(does(claims=[new]))
    assert (await store.snapshot()).claim_by_key("ada", "key-c1") == new


async def test_a_denied_claim_may_be_forgotten_earlier_than_others(store):
    left = replace(denied(claim("left")), state=ClaimState.CANCELLED)
    await store.update(does(claims=[denied(claim("denied")), left]))
    await store.update(does(forget=NOON - HOUR, forget_denied=NOON))
    assert set((await store.snapshot()).claims) == {"left", "denied"}
    await store.update(does(forget=NOON - HOUR, forget_denied=NOON + HOUR))
    assert set((await store.snapshot()).claims) == {"left"}


async def test_a_claim_that_waits_or_holds_a_lease_is_never_forgotten(store):
    holding = replace(denied(claim("claim-l1")), state=ClaimState.GRANTED, lease_id="l1")
    await store.update(does(claims=[claim("c1"), holding], leases=[lease("l1", "a")]))
    await store.update(does(forget=NOON + HOUR))
    assert set((await store.snapshot()).claims) == {"c1", "claim-l1"}


async def test_a_claim_that_joined_a_lease_is_remembered_as_long_as_the_lease_lives(store):
    first = replace(denied(claim("claim-l1")), state=ClaimState.GRANTED, lease_id="l1")
    joined = replace(first, id="joined", key="another-key")
    await store.update(does(claims=[first, joined], leases=[lease("l1", "a")]))
    await store.update(does(forget=NOON + HOUR))
    assert (await store.snapshot()).claim_by_key("ada", "another-key") == joined
    await store.close()
    await store.open("again")
    assert (await store.snapshot()).claim_by_key("ada", "another-key") == joined
    await store.update(does(leases=[over(lease("l1", "a"))]))
    await store.update(does(forget=NOON + HOUR))
    assert (await store.snapshot()).claims == {}


async def test_a_ledger_that_is_not_open_says_so(store):
    await store.close()
    await store.close()
    with pytest.raises(LedgerUnavailable, match="not open"):
        await store.update(does())
    with pytest.raises(LedgerUnavailable, match="not open"):
        await store.snapshot()
