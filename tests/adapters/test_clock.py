"""The clocks: the machine's own, one that a file moves, and one that is moved by hand."""

import subprocess
import sys
import time
from datetime import UTC, timedelta

import pytest

from mlhub.adapters import clock as clocks
from mlhub.adapters.clock import FileClock, ManualClock, SystemClock
from mlhub.core.ledger import Anchor, step_of
from tests.waiting import wait_until

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


def reading(clock):
    return Anchor(clock.now(), clock.monotonic(), clock.boot())


def stepped(clock, before):
    """By how much the wall clock seems to have been set since."""
    return step_of(before, reading(clock), SECOND)


def test_the_machines_wall_clock_is_utc_and_its_ticks_count_on():
    clock = SystemClock()
    first, second = reading(clock), reading(clock)
    assert first.wall.tzinfo is UTC
    assert first.wall <= second.wall < first.wall + MINUTE
    assert first.monotonic < second.monotonic < first.monotonic + 60
    assert first.monotonic >= time.monotonic() - 60
    assert not clock.simulated


def test_every_process_reads_the_same_boot():
    told = subprocess.run(
        [sys.executable, "-c",
         "from mlhub.adapters.clock import SystemClock; print(SystemClock().boot())"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert told.stdout.strip() == SystemClock().boot() != ""


def test_a_kernel_without_a_boot_id_is_told_by_when_it_started(monkeypatch, tmp_path):
    monkeypatch.setattr(clocks, "BOOT_ID", tmp_path / "none")
    assert SystemClock().boot().startswith("started-")
    assert SystemClock().boot() == SystemClock().boot()


@pytest.fixture
def file(tmp_path):
    """Where a simulation says what time it is."""
    return tmp_path / "clock"


def test_without_a_file_the_time_is_the_machines(file):
    before = reading(SystemClock())
    now = reading(FileClock(file))
    assert now.wall - before.wall < MINUTE
    assert now.monotonic - before.monotonic < 60
    assert now.boot == before.boot
    assert FileClock(file).simulated


def test_the_first_number_lets_time_pass_on_both_clocks(file):
    clock = FileClock(file)
    before = reading(clock)
    file.write_text("3600\n")
    now = reading(clock)
    assert 60 * MINUTE <= now.wall - before.wall < 61 * MINUTE
    assert stepped(clock, before) == timedelta(0)


def test_the_second_number_sets_the_wall_clock_alone(file):
    clock = FileClock(file)
    file.write_text("60")
    before = reading(clock)
    file.write_text("120 -3600")
    assert abs(stepped(clock, before) + 60 * MINUTE) < SECOND
    file.write_text("120")
    assert stepped(clock, before) == timedelta(0)


def test_time_that_has_passed_does_not_come_back(file):
    clock = FileClock(file)
    file.write_text("3600")
    before = reading(clock)
    file.write_text("10")
    now = reading(clock)
    assert before.wall <= now.wall
    assert before.monotonic <= now.monotonic


def test_a_change_between_the_two_readings_of_an_anchor_is_no_step(file):
    clock = FileClock(file)
    before = reading(clock)
    wall = clock.now()
    file.write_text("3600")
    now = Anchor(wall, clock.monotonic(), clock.boot())
    assert step_of(before, now, SECOND) == timedelta(0)


def test_the_ticks_alone_follow_the_file_too(file):
    clock = FileClock(file)
    before = clock.monotonic()
    file.write_text("3600")
    wait_until(lambda: clock.monotonic() >= before + 3600, within_s=5, what="an hour passed")
    assert clock.monotonic() < before + 3700


@pytest.mark.parametrize("content", ["", "an hour", "nan", "1 inf", "\xff"], ids=ascii)
def test_a_file_that_is_not_understood_keeps_what_was_read_last(file, content):
    clock = FileClock(file)
    file.write_text("3600")
    before = reading(clock)
    file.write_text(content)
    now = reading(clock)
    assert timedelta(0) <= now.wall - before.wall < MINUTE
    assert stepped(clock, before) == timedelta(0)


def test_a_clock_moved_by_hand_tells_passing_from_setting_from_a_restart():
    clock = ManualClock()
    before = reading(clock)
    clock.advance(60 * MINUTE)
    assert clock.now() - before.wall == 60 * MINUTE
    assert stepped(clock, before) == timedelta(0)
    clock.step(-5 * MINUTE)
    assert clock.now() - before.wall == 55 * MINUTE
    assert stepped(clock, before) == -5 * MINUTE
    clock.reboot()
    assert clock.monotonic() < before.monotonic
    assert clock.boot() != before.boot
    assert stepped(clock, before) == timedelta(0)
