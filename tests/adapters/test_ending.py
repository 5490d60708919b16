"""Ending processes: who is reached, when firmly, and that nobody else has to wait for it."""

import asyncio
import os
import signal
import threading
from contextlib import ExitStack

import pytest

from mlhub.adapters.clock import SystemClock
from mlhub.adapters.processes import ProcessObserver, ProcessTable
from mlhub.core.lifecycle import Presence
from mlhub.ending import Ending, send_to
from tests.adapters.running import line_of, running, runs, until
from tests.core.making import lease

STUBBORN = ("sh", "-c", "trap '' TERM; echo; while :; do sleep 0.1; done")
TERM, KILL = signal.SIGTERM, signal.SIGKILL


class Noting:
    """Remembers what was sent to whom."""

    def __init__(self):
        self.sent = []

    def __call__(self, process, number):
        self.sent.append((process, number))


def test_each_is_asked_once_those_who_come_later_too():
    note = Noting()
    ending = Ending(note, patience_s=60)
    assert ending.step(["a"])
    assert ending.step(["a", "b"])
    assert ending.step(["a", "b"])
    assert note.sent == [("a", TERM), ("b", TERM)]
    assert not ending.step([])


def test_without_patience_all_are_killed_at_each_step_until_none_is_left():
    note = Noting()
    ending = Ending(note, patience_s=0)
    assert ending.step(["a"])
    assert ending.step(["a", "b"])
    assert note.sent == [("a", KILL), ("a", KILL), ("b", KILL)]


def test_what_cannot_be_ended_is_given_up(monkeypatch):
    monkeypatch.setattr("mlhub.ending.FIRM_S", -1.0)
    assert not Ending(Noting(), patience_s=0).step(["a"])


def test_neither_this_process_nor_the_machines_first_nor_groups_of_them_are_signalled():
    for pid in (os.getpid(), 1, 0, -1, -os.getpid()):
        assert not send_to(pid, signal.SIGCONT, is_same=lambda: True)


def test_the_number_is_asked_about_after_it_is_fixed():
    with running() as process:
        assert not send_to(process.pid, KILL, is_same=lambda: False)
        assert runs(process.pid)

        def ends_meanwhile() -> bool:
            process.kill()
            process.wait()
            return True

        assert not send_to(process.pid, KILL, is_same=ends_meanwhile)


def test_a_kernel_without_such_descriptors_is_signalled_by_number(monkeypatch):
    monkeypatch.delattr(os, "pidfd_open")
    with running() as process:
        assert send_to(process.pid, KILL, is_same=lambda: True)
        assert process.wait(10) == -KILL
        assert not send_to(process.pid, KILL, is_same=lambda: False)


class Table(ProcessTable):
    """Counts looks by thread, and hangs in some."""

    def __init__(self):
        super().__init__()
        self.looks = []
        self.hang_in = ""
        self.go_on = threading.Event()

    def scan(self):
        name = threading.current_thread().name
        self.looks.append(name)
        if name == self.hang_in:
            self.go_on.wait()
        return super().scan()


@pytest.fixture
def table():
    table = Table()
    yield table
    table.go_on.set()


@pytest.fixture
def observer(table):
    observer = ProcessObserver(SystemClock(), table=table, grace_s=0.3, timeout_s=5)
    yield observer
    observer.close()


async def test_leases_that_end_together_share_each_look(observer, table):
    leases = [lease(f"L{n}", "n1-0") for n in range(8)]
    with ExitStack() as stack:
        stubborn = stack.enter_context(running(*STUBBORN, lease="L0"))
        line_of(stubborn)
        others = [stack.enter_context(running(lease=row.id)) for row in leases[1:]]
        await until(lambda: set(carried()) >= {row.id for row in leases}, "all have begun")
        await asyncio.gather(*(observer.kill(row) for row in leases))
        assert not any(runs(process.pid) for process in (stubborn, *others))
    assert table.looks.count("mlhub-ending") < 2 * len(leases)


def carried() -> list[str]:
    """The leases in the environments of all processes."""
    return [process.lease_id for process in ProcessTable().scan()]


async def test_an_ending_that_hangs_keeps_nobody_from_looking(observer, table):
    table.hang_in = "mlhub-ending"
    with running(lease="L1") as process:
        await until(lambda: "L1" in carried(), "it has begun")
        ending = asyncio.create_task(observer.kill(lease("L1", "n1-0")))
        await until(lambda: "mlhub-ending" in table.looks, "it hangs")
        for _ in range(3):
            found = (await observer.observe([lease("L1", "n1-0")]))["L1"]
            assert found.presence is Presence.THERE
        table.go_on.set()
        await ending
        assert not runs(process.pid)


async def test_one_who_gives_up_waiting_does_not_stop_the_ending_of_others(observer):
    with running(*STUBBORN, lease="L1") as one, running(*STUBBORN, lease="L2") as other:
        line_of(one), line_of(other)
        impatient = asyncio.create_task(observer.kill(lease("L1", "n1-0")))
        patient = asyncio.create_task(observer.kill(lease("L2", "n1-0")))
        await asyncio.sleep(0)
        impatient.cancel()
        await patient
        await until(lambda: not runs(one.pid), "the other is ended too")
        assert not runs(other.pid)
