"""What is left of a stack is found by its mark and by the record, and nothing else is touched."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from mlhub.ending import mark_of
from mlhub.stack import leftovers
from mlhub.stack.home import Home, prepare
from tests.waiting import wait_until

SLEEP = "import time; time.sleep(600)"
STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); " + SLEEP


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    prepare(home)
    return home


@pytest.fixture
def start(home: Home) -> Iterator:
    started: list[subprocess.Popen] = []

    def start(code: str = SLEEP, *, mark: str | None = None, session: bool = True):
        environment = os.environ | ({leftovers.MARK: mark} if mark else {})
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            env=environment,
            stdout=subprocess.PIPE,
            start_new_session=session,
        )
        started.append(process)
        # For a moment after its start a process has no environment yet.
        wait_until(lambda: psutil.Process(process.pid).environ(), within_s=10, what="its start")
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_marked_processes_of_this_home_are_ended_and_others_live(home: Home, start):
    ours, another = start(mark=str(home.path)), start(mark="/another/home")
    unmarked = start()
    assert leftovers.clear(home) == 1
    assert ours.wait(5) == -15
    assert another.poll() is None
    assert unmarked.poll() is None


def test_a_process_that_ignores_the_request_is_killed(home: Home, start):
    stubborn = start(STUBBORN, mark=str(home.path))
    stubborn.stdout.readline()
    assert leftovers.end([psutil.Process(stubborn.pid)], patience_s=0.5) == []
    assert stubborn.wait(5) == -9


def test_recorded_processes_are_found_without_any_mark(home: Home, start):
    unmarked = start()
    leftovers.record(home, [psutil.Process(unmarked.pid)])
    assert leftovers.clear(home) == 1
    assert unmarked.wait(5) == -15


def test_a_recorded_number_that_now_is_another_process_is_left_alone(home: Home, start):
    process = start()
    home.record_file.write_text(f'[[{process.pid}, "{mark_of(os.getpid())}"]]')
    assert leftovers.clear(home) == 0
    assert process.poll() is None


def test_we_ourselves_are_never_among_them(home: Home):
    leftovers.record(home, [psutil.Process(), *psutil.Process().parents()])
    assert leftovers.find(home) == set()


def test_an_ended_process_counts_as_ended_before_its_parent_takes_note(home: Home, start):
    ended = start("pass")
    process = psutil.Process(ended.pid)
    ended.stdout.read()
    assert leftovers.end([process]) == []
    assert process.status() == psutil.STATUS_ZOMBIE
