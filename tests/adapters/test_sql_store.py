"""What a ledger in a database keeps to: it lasts, one process owns it, and its time is one."""

import asyncio
import os
import re
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from mlhub.adapters.clock import SystemClock
from mlhub.adapters.sql import SqlStore, tables
from mlhub.broker.ports import Page
from mlhub.core.claims import ClaimState
from mlhub.core.errors import BadInput, BrokenInvariant, NotOwner
from mlhub.core.ledger import PAST_KEPT, Changes
from tests.adapters.deciding import does, note, over, used
from tests.core.making import HOUR, NOON, claim, lease


def open_by_hand(url):
    """A connection beside the store, as somebody with a database shell has one."""
    return sa.create_engine(url, poolclass=sa.NullPool).connect()


def count(url, table):
    with open_by_hand(url) as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(table))


async def test_what_was_kept_is_there_after_a_restart(url, opened):
    store = await opened(url)
    waits = claim("c1", at=NOON + timedelta(microseconds=17), priority=3, groups=("lab",))
    refused = replace(
        claim("c2", user="bøb", server="näme\n"), state=ClaimState.DENIED, decided_at=NOON,
        why="no", told='{"a": 1}',
    )  # fmt: skip
    held, ended = lease("l1", "a", "b", groups=("lab", "staff")), lease("l2", "c")
    await store.update(does(claims=[waits, refused], leases=[held, ended], usage=[used(held)]))
    await store.update(does(leases=[over(ended)], audit=[note("over")]))
    before = await store.snapshot()
    await store.close()
    again = await opened(url)
    assert await again.snapshot() == before
    assert before.past == {"a100": (3600.0,)}
    everything = Page(limit=9)
    assert [row for _, row in await again.ended_leases(None, everything)] == [over(ended)]
    assert [row for _, row in await again.usage(None, everything)] == [used(held)]
    assert [row for _, row in await again.audit(None, everything)] == [note("over")]


async def test_only_what_is_live_or_remembered_is_read_at_a_start(url, opened):
    store = await opened(url)
    old = [replace(claim(f"c{n}"), state=ClaimState.DENIED, decided_at=NOON) for n in range(30)]
    ended = [over(lease(f"l{n}", f"d{n}"), lasted=n * timedelta(seconds=1)) for n in range(230)]
    holds = replace(old[0], id="claim-held", key="k", state=ClaimState.GRANTED, lease_id="held")
    await store.update(does(claims=[*old, holds], leases=[*ended, lease("held", "h")]))
    await store.update(does(claims=[claim("waits")], forget=NOON + HOUR))
    before = await store.snapshot()
    await store.close()
    ledger = await (await opened(url)).snapshot()
    assert ledger == before
    assert set(ledger.claims) == {"waits", "claim-held"}
    assert ledger.past["a100"] == tuple(float(n) for n in range(230 - PAST_KEPT, 230))
    assert count(url, tables.claims) == 2


async def test_a_hundred_at_once_share_a_few_commits(url, opened):
    store = await opened(url)
    start = (await store.snapshot()).revision
    await asyncio.gather(*(store.update(does(audit=[note(str(n))])) for n in range(100)))
    assert (await store.snapshot()).revision - start <= 3
    assert count(url, tables.audit) == 100


async def test_an_answer_is_given_only_after_its_commit(url, opened):
    store = await opened(url)

    async def keep(number):
        await store.update(does(audit=[note(str(number))]))
        return count(url, tables.audit)

    assert await asyncio.gather(*map(keep, range(20))) == [20] * 20


async def test_whoever_looks_while_a_commit_is_under_way_sees_the_last_one_at_once(url, opened):
    store = await opened(url)
    await store.update(does(claims=[claim("c1")]))
    deciding, go_on = threading.Event(), threading.Event()

    def take_long(ledger, anchor):
        deciding.set()
        go_on.wait(10)
        return None, Changes(claims=(claim("c2"),))

    update = asyncio.create_task(store.update(take_long))
    await asyncio.to_thread(deciding.wait, 10)
    seen = await asyncio.wait_for(store.snapshot(), 1)
    go_on.set()
    await update
    assert set(seen.claims) == {"c1"}
    assert set((await store.snapshot()).claims) == {"c1", "c2"}


async def test_what_waits_when_the_ledger_is_closed_is_still_kept(url, opened):
    store = await opened(url)
    waiting = [asyncio.create_task(store.update(does(audit=[note(str(n))]))) for n in range(100)]
    await asyncio.sleep(0)
    await asyncio.gather(store.close(), store.close())
    await asyncio.gather(*waiting)
    assert count(url, tables.audit) == 100


async def test_one_who_no_longer_waits_is_not_decided(url, opened):
    store = await opened(url)
    given_up = asyncio.create_task(store.update(does(claims=[claim("c1")])))
    await asyncio.sleep(0)
    given_up.cancel()
    await store.update(does(claims=[claim("c2")]))
    assert set((await store.snapshot()).claims) == {"c2"}


async def test_a_text_that_no_database_keeps_is_refused_to_its_sender_alone(url, opened):
    store = await opened(url)
    bad = [note("a\0b"), note("half \ud800 of a pair")]
    told = await asyncio.gather(
        *(store.update(does(audit=[row])) for row in [*bad, note("good")]), return_exceptions=True
    )
    assert [type(answer) for answer in told] == [BadInput, BadInput, type(None)]
    assert count(url, tables.audit) == 1


async def test_the_same_key_is_not_kept_twice_for_a_user(url, opened):
    store = await opened(url)
    await store.update(does(claims=[claim("c1")]))
    with pytest.raises(BrokenInvariant):
        await store.update(does(claims=[replace(claim("c2"), key="key-c1")]))
    await store.update(does(claims=[replace(claim("c3", user="bob"), key="key-c1")]))


async def test_a_claim_is_not_granted_two_leases(url, opened):
    store = await opened(url)
    await store.update(does(leases=[lease("l1", "a")]))
    with pytest.raises(BrokenInvariant):
        await store.update(does(leases=[replace(lease("l2", "b"), claim_id="claim-l1")]))


async def test_a_usage_entry_needs_a_lease(url, opened):
    store = await opened(url)
    with pytest.raises(BrokenInvariant):
        await store.update(does(usage=[used(lease("l1", "a"))]))


async def test_the_tables_themselves_refuse_a_device_that_is_taken(url, opened):
    store = await opened(url)
    await store.update(does(leases=[lease("l1", "a"), lease("l2", "b")]))
    table = tables.lease_devices
    for slot in (0, 1):
        row = {"device": "GPU-a", "slot": slot, "shares": 1, "lease_id": "l2"}
        with open_by_hand(url) as connection, pytest.raises(sa.exc.IntegrityError):
            connection.execute(sa.insert(table), [row])


@pytest.mark.parametrize("table", [tables.usage, tables.audit], ids=lambda table: table.name)
async def test_the_tables_themselves_refuse_to_change_what_was_written_once(url, opened, table):
    store = await opened(url)
    row = lease("l1", "a")
    await store.update(does(leases=[row], usage=[used(row)], audit=[note("once")]))
    await store.close()
    for change in (sa.update(table).values(user_name="eve"), sa.delete(table)):
        with (
            open_by_hand(url) as connection,
            pytest.raises(sa.exc.IntegrityError, match="append-only"),
        ):
            connection.execute(change)
    assert count(url, table) == 1


class WrongClock(SystemClock):
    """A machine whose wall clock is off."""

    def now(self):
        return super().now() - timedelta(days=100)


async def test_time_is_the_databases_own_unless_the_clock_is_simulated(url, opened, clock):
    store = await opened(url, clock=WrongClock())
    earlier = SystemClock().now()
    anchor = await store.update(lambda _, anchor: (anchor, Changes(audit=(note("now"),))))
    assert timedelta(seconds=-0.01) < anchor.wall - earlier < timedelta(seconds=5)
    assert anchor.boot == SystemClock().boot()
    assert (await store.snapshot()).anchor == anchor
    await store.close()
    again = await opened(url)
    assert (await again.snapshot()).anchor == anchor
    assert await again.update(lambda _, anchor: (anchor.wall, Changes())) == NOON


async def test_those_who_are_decided_together_are_told_one_time(url, opened):
    store = await opened(url, clock=SystemClock())
    first = does(audit=[note("the first makes the others wait")])
    tell = [lambda _, anchor: (anchor, Changes())] * 20
    told = await asyncio.gather(store.update(first), *map(store.update, tell))
    assert len(set(told[1:])) == 1


async def test_a_second_owner_is_refused_and_told_who_the_first_is(url, opened):
    await opened(url, owner="the first one")
    with pytest.raises(NotOwner, match="the first one"):
        await opened(url, owner="the second one", takeover=0.3)


async def test_a_second_owner_waits_a_while_for_the_first_to_end(url, opened):
    first = await opened(url)
    await first.update(does(claims=[claim("c1")]))
    second = asyncio.create_task(opened(url, takeover=20))
    assert not (await asyncio.wait({second}, timeout=0.3))[0]
    await first.close()
    assert set((await (await second).snapshot()).claims) == {"c1"}


async def test_a_former_owner_can_write_no_more(url, opened):
    store = await opened(url)
    await store.update(does(claims=[claim("c1")]))
    with open_by_hand(url) as connection:
        connection.execute(sa.update(tables.owner).values(epoch=tables.owner.c.epoch + 1))
        connection.commit()
    for _ in range(2):
        with pytest.raises(NotOwner):
            await store.update(does(claims=[claim("c2")]))
        with pytest.raises(NotOwner):
            await store.snapshot()
    assert count(url, tables.claims) == 1


@pytest.mark.postgres
async def test_an_owner_that_loses_the_ledger_while_it_decides_writes_nothing(postgres, opened):
    url = postgres.new_database()
    store = await opened(url)
    engine = sa.create_engine(url, poolclass=sa.NullPool)

    def be_fenced(ledger, anchor):
        with engine.connect() as connection:
            connection.execute(sa.update(tables.owner).values(epoch=tables.owner.c.epoch + 1))
            connection.commit()
        return None, Changes(claims=(claim("c1"),))

    with pytest.raises(NotOwner):
        await store.update(be_fenced)
    assert count(url, tables.claims) == 0


def test_the_lock_is_free_when_its_owner_was_killed(url):
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.adapters.keeper_process", url, "killed one"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout.readline() == "open\n"
        process.kill()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()

    async def take_over():
        store = SqlStore(url, SystemClock(), takeover=5)
        await store.open("next one")
        await store.close()

    asyncio.run(take_over())


async def test_files_of_the_ledger_are_for_their_owner_alone(sqlite_url, opened, tmp_path):
    store = await opened(sqlite_url)
    await store.update(does(claims=[claim("c1")]))
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in tmp_path.iterdir()}
    kept = ("ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm", "ledger.sqlite.lock")
    assert modes == dict.fromkeys(kept, "0o600")
    assert f"process {os.getpid()}" in (tmp_path / "ledger.sqlite.lock").read_text()


@pytest.mark.parametrize(
    "bad",
    ["", "ledger.sqlite", "sqlite://", "sqlite:///:memory:", "mysql://ada:secret@host/ledger",
     "sqlite:////tmp/x?mode=ro", "postgresql://ada:secret@host:port/x"],
)  # fmt: skip
def test_a_url_that_cannot_keep_a_ledger_is_refused_without_its_secret(bad, clock):
    with pytest.raises(BadInput) as caught:
        SqlStore(bad, clock)
    assert not re.search("secret", str(caught.value))
