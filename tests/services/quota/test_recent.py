"""How busy a device was lately: a sample a minute, for an hour, and only one's own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hub_services.quota.recent import SAMPLES, Recent
from hub_services.quota.words import use_text
from mlhub.broker.ports import DeviceLoad

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def minute(number: float) -> datetime:
    return NOON + timedelta(minutes=number)


def filled(count: int) -> Recent:
    recent = Recent()
    for number in range(count):
        recent.note({"GPU-1": DeviceLoad("GPU-1", float(number), None)}, minute(number))
    return recent


def test_a_minute_has_one_sample():
    recent = filled(3)
    assert not recent.note({"GPU-1": DeviceLoad("GPU-1", 99.0, None)}, minute(2.5))
    assert recent.of("GPU-1", since=NOON, now=minute(3)) == [0.0, 1.0, 2.0]


def test_what_another_one_did_before_with_the_device_is_not_told():
    assert filled(5).of("GPU-1", since=minute(3), now=minute(5)) == [3.0, 4.0]


def test_no_more_than_an_hour_is_kept():
    recent = filled(3 * SAMPLES)
    assert len(recent.samples["GPU-1"]) == SAMPLES
    now = minute(3 * SAMPLES)
    assert recent.of("GPU-1", since=NOON, now=now)[0] == 3.0 * SAMPLES - SAMPLES


def test_a_device_that_is_gone_is_forgotten_after_an_hour():
    recent = filled(2)
    recent.note({"GPU-2": DeviceLoad("GPU-2", 1.0, None)}, minute(30))
    assert recent.of("GPU-1", since=NOON, now=minute(30)) == [0.0, 1.0]
    recent.note({"GPU-2": DeviceLoad("GPU-2", 1.0, None)}, minute(61))
    assert set(recent.samples) == {"GPU-2"}


def test_a_look_that_failed_wipes_nothing_out_and_the_next_one_counts():
    recent = filled(2)
    assert not recent.note({}, minute(2))
    assert recent.of("GPU-1", since=NOON, now=minute(2)) == [0.0, 1.0]
    assert recent.note({"GPU-1": DeviceLoad("GPU-1", 5.0, None)}, minute(2.1))


def test_a_clock_that_was_set_back_does_not_stop_the_samples():
    recent = filled(2)
    assert recent.note({"GPU-1": DeviceLoad("GPU-1", 7.0, None)}, minute(-60))


def test_the_picture_of_the_use_is_also_said_in_words():
    assert use_text([10.0, 30.0, None]) == "in the last 3 min 20 % on average, 30 % at most"
    assert use_text([None]) == "how busy it was is not known"
    assert use_text([]) == "no look at its use yet"
