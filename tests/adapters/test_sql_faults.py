"""What happens to a ledger when its database is locked, full, away, or its process is killed."""

import asyncio
import contextlib
import subprocess
import sys
import threading
import traceback
from datetime import timedelta

import pytest
import sqlalchemy as sa

from mlhub.adapters.clock import SystemClock
from mlhub.adapters.sql import SqlStore, database, reading
from mlhub.broker.ports import Page
from mlhub.core.errors import LedgerUnavailable
from mlhub.core.ledger import Changes, step_of
from tests.adapters.deciding import does, note
from tests.core.making import claim
from tests.parts import small_disk


@contextlib.contextmanager
def process(module, *words):
    """A process that has said its first word; killed at the end."""
    started = subprocess.Popen(
        [sys.executable, "-m", f"tests.adapters.{module}", *words],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert started.stdout.readline()
        yield started
    finally:
        started.kill()
        started.wait()
        started.stdin.close()
        started.stdout.close()


@contextlib.contextmanager
def at_each(name, listener):
    """A listener for an event of every database engine."""
    sa.event.listen(sa.Engine, name, listener)
    try:
        yield
    finally:
        sa.event.remove(sa.Engine, name, listener)


def once(action):
    """A listener that acts the first time only."""
    left = [action]
    return lambda connection: left and left.pop()(connection)


async def audited(store):
    return [record.subject for _, record in await store.audit(None, Page(limit=10_000))]


async def beats():
    """How often the event loop came round, for as long as this is not cancelled."""
    number = 0
    try:
        while True:
            await asyncio.sleep(0.01)
            number += 1
    except asyncio.CancelledError:
        return number


async def test_a_database_that_is_locked_for_a_moment_is_waited_for(url, opened):
    store = await opened(url)
    with process("locker_process", url) as locker:
        heart = asyncio.create_task(beats())
        waiting = asyncio.create_task(store.update(does(value="kept", audit=[note("late")])))
        assert not (await asyncio.wait({waiting}, timeout=0.5))[0]
        locker.stdin.close()
        assert await waiting == "kept"
        heart.cancel()
        assert await heart > 10


async def test_a_database_that_stays_locked_is_an_error_until_it_is_back(url, opened, monkeypatch):
    monkeypatch.setattr(database, "BUSY", 0.2)
    monkeypatch.setattr(
        database, "POSTGRESQL", (*database.POSTGRESQL, "SET lock_timeout = '200ms'")
    )
    store = await opened(url)
    await store.update(does(claims=[claim("c1")]))
    with process("locker_process", url):
        for _ in range(2):
            with pytest.raises(LedgerUnavailable, match="lock"):
                await store.update(does(claims=[claim("c2")]))
    await store.update(does(claims=[claim("c3")]))
    assert set((await store.snapshot()).claims) == {"c1", "c3"}


async def fill(store):
    """Write until there is no room; how many notes were kept."""
    text = "x" * 20_000
    for number in range(10_000):
        try:
            await store.update(does(audit=[note(f"{number} {text}")]))
        except LedgerUnavailable as error:
            assert "full" in str(error)
            return number
    raise AssertionError("there was room for everything")


async def test_a_database_that_may_not_grow_keeps_what_it_has(sqlite_url, opened):
    connections = []

    def limit(connection, _):
        connections.append(connection)
        connection.execute("PRAGMA max_page_count = 80")

    with at_each("connect", limit):
        store = await opened(sqlite_url)
    kept = await fill(store)
    assert len(await audited(store)) == kept > 0
    # Decisions run in the thread that the connection belongs to.
    await store.update(
        lambda *_: (connections[0].execute("PRAGMA max_page_count = 8000").fetchone(), Changes())
    )
    await store.update(does(audit=[note("there is room again")]))
    assert len(await audited(store)) == kept + 1


@contextlib.contextmanager
def ballast(disk):
    """Half of the small disk is taken by something else for a while."""
    file = disk / "ballast"
    file.write_bytes(b"x" * 1_000_000)
    yield
    file.unlink()


@pytest.mark.root
async def test_a_full_disk_is_an_error_until_there_is_room_again(tmp_path, opened):
    with small_disk(tmp_path, 2) as disk:
        store = await opened(f"sqlite:///{disk}/ledger.sqlite")
        with ballast(disk):
            kept = await fill(store)
            assert len(await audited(store)) == kept > 0
        await store.update(does(audit=[note("there is room again")]))
        assert len(await audited(store)) == kept + 1


async def test_a_missing_directory_is_named(tmp_path, clock):
    store = SqlStore(f"sqlite:///{tmp_path}/nowhere/ledger.sqlite", clock)
    with pytest.raises(LedgerUnavailable, match="nowhere"):
        await store.open("test")


@pytest.mark.parametrize(
    "rest",
    ["127.0.0.1:1/ledger", "127.0.0.1:1/x?bogus=1", "127.0.0.1:1/x?password=hunter2"],
)
async def test_a_server_that_is_not_there_is_named_without_the_password(rest, clock):
    store = SqlStore(f"postgresql+psycopg://ada:hunter2@{rest}", clock)
    with pytest.raises(LedgerUnavailable, match=r"127\.0\.0\.1") as caught:
        await store.open("test")
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


async def test_an_update_that_takes_too_long_is_given_up_by_its_asker(url, opened):
    store = await opened(url, patience=1)
    go_on = threading.Event()
    with pytest.raises(LedgerUnavailable, match="ask again"):
        await store.update(lambda *_: (go_on.wait(10), Changes()))
    with pytest.raises(LedgerUnavailable, match="ask again"):
        await store.update(does(claims=[claim("c1")]))
    go_on.set()
    await store.update(does(claims=[claim("c2")]))
    assert set((await store.snapshot()).claims) == {"c2"}


@pytest.mark.postgres
async def test_a_server_that_stops_and_starts_again_is_found_again(postgres, opened):
    store = await opened(postgres.new_database())
    await store.update(does(claims=[claim("c1")]))
    postgres.stop()
    try:
        for _ in range(2):
            with pytest.raises(LedgerUnavailable, match="cannot be used"):
                await store.update(does(claims=[claim("c2")]))
    finally:
        postgres.start()
    await store.update(does(claims=[claim("c3")]))
    assert set((await store.snapshot()).claims) == {"c1", "c3"}


@pytest.mark.postgres
async def test_a_restart_between_two_updates_is_not_noticed(postgres, opened):
    store = await opened(postgres.new_database())
    await store.update(does(claims=[claim("c1")]))
    postgres.stop()
    postgres.start()
    assert await audited(store) == []
    postgres.stop()
    postgres.start()
    await store.update(does(claims=[claim("c2")]))
    assert set((await store.snapshot()).claims) == {"c1", "c2"}


@pytest.mark.postgres
async def test_a_new_connection_needs_the_lock_that_went_with_the_old_one(postgres, opened):
    url = postgres.new_database()
    store = await opened(url)
    with sa.create_engine(url, poolclass=sa.NullPool).connect() as other:
        cut_off(other)
        for _ in range(100):
            if other.scalar(sa.text(f"SELECT pg_try_advisory_lock({0x6D6C687562})")):
                break
        with pytest.raises(LedgerUnavailable, match="still locked"):
            await store.update(does(claims=[claim("c1")]))
    await store.update(does(claims=[claim("c2")]))
    assert set((await store.snapshot()).claims) == {"c2"}


def cut_off(connection):
    """End every other connection to the database, as a failing network does."""
    connection.execute(
        sa.text(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    )


def ask_with_key(ledger, anchor):
    """What a claim with an idempotency key does: the same one for the same key."""
    found = ledger.claim_by_key("ada", "key-c1")
    return ("again", Changes()) if found else ("new", Changes(claims=(claim("c1"),)))


@pytest.mark.postgres
@pytest.mark.parametrize("kept", [False, True], ids=["before-it", "after-it"])
async def test_a_connection_lost_at_the_commit_is_resolved_by_asking_again(postgres, opened, kept):
    url = postgres.new_database()
    store = await opened(url)
    engine = sa.create_engine(url, poolclass=sa.NullPool)

    def lose(connection):
        if kept:
            connection.connection.dbapi_connection.commit()
            connection.connection.dbapi_connection.execute("SELECT 'and one more to commit'")
        with engine.connect() as other:
            cut_off(other)

    with at_each("commit", once(lose)), pytest.raises(LedgerUnavailable):
        await store.update(ask_with_key)
    assert set((await store.snapshot()).claims) == ({"c1"} if kept else set())
    assert await store.update(ask_with_key) == ("again" if kept else "new")
    assert set((await store.snapshot()).claims) == {"c1"}


def read_numbers(stdout, numbers, enough):
    for line in stdout:
        # A line that was cut off by the kill is none.
        if line.endswith("\n"):
            numbers.append(line.strip())
        if len(numbers) >= 40:
            enough.set()


def test_a_kill_never_loses_what_was_promised(url):
    for round_ in range(5):
        owner, promised, enough = f"owner-{round_}", [], threading.Event()
        with process("keeper_process", url, owner) as writer:
            reader = threading.Thread(
                target=read_numbers, args=(writer.stdout, promised, enough), daemon=True
            )
            reader.start()
            assert enough.wait(30)
            writer.kill()
            reader.join(10)
        kept = asyncio.run(numbers_kept(url))
        missing = [number for number in promised if number not in kept]
        assert not missing, f"{missing} were promised by {owner} and are lost"


async def numbers_kept(url):
    """The numbers of the last owner's records; they begin at 0 for each."""
    store = SqlStore(url, SystemClock(), takeover=10)
    await store.open("checker")
    try:
        kept = await audited(store)
    finally:
        await store.close()
    return set(kept[: kept.index("0") + 8])


async def test_a_ledger_that_is_read_anew_slowly_is_no_step_of_the_clock(
    sqlite_url, opened, monkeypatch
):
    store = await opened(sqlite_url, clock=SystemClock())
    clocks = []

    def note_clock(_ledger, clock):
        clocks.append(clock)
        return None, Changes()

    def slowly(connection):
        threading.Event().wait(0.5)
        return load(connection)

    await store.update(note_clock)
    load = reading.load
    monkeypatch.setattr(reading, "load", slowly)
    store._keeper.ledger = None  # as after every error
    await store.update(note_clock)
    assert step_of(*clocks, timedelta(seconds=0.2)) == timedelta(0)
