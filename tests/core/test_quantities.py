"""Units: what is understood, what is refused, and how it is said."""

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlhub.core.errors import BadInput
from mlhub.core.quantities import (
    format_duration,
    format_memory,
    format_range,
    format_wait,
    gpu_hours,
    ordinal,
    parse_duration,
    parse_memory,
    plural,
)


@pytest.mark.parametrize(
    ("text", "mib"),
    [("80 GiB", 81920), ("80Gi", 81920), ("16G", 15259), ("512MiB", 512), (1024, 1024),
     ("1.5 GiB", 1536), ("2TiB", 2097152), ("1048576", 1)],
)  # fmt: skip
def test_memory_is_read_in_every_usual_unit(text, mib):
    assert parse_memory(text) == mib


@pytest.mark.parametrize("text", ["", "eighty", "80 apples", "-1 GiB", -5, "1e9", "9" * 40, None])
def test_what_is_no_memory_is_refused_with_the_field_and_an_example(text):
    with pytest.raises(BadInput, match=r"size: .*80 GiB") as caught:
        parse_memory(text, field="size")
    assert caught.value.field == "size"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("8h", 28800), ("1h30m", 5400), ("90min", 5400), ("2 d", 172800), (45, 45), ("1.5h", 5400),
     ("1h 30m", 5400), (0, 0)],
)  # fmt: skip
def test_durations_are_read(text, seconds):
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    ["", " ", "soon", "-1h", "8", "8x", "h", float("nan"), float("inf"), 1e18, True, "9" * 99],
)
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(BadInput, match="is not a duration"):
        parse_duration(text)


@given(st.integers(0, 3650 * 24 * 60))
def test_a_duration_in_minutes_comes_back_from_its_words_to_within_their_precision(minutes):
    span = timedelta(minutes=minutes)
    again = parse_duration(format_duration(span).replace(" min", "m"))
    assert abs(again - span) <= timedelta(minutes=60 if minutes >= 1440 else 0.5)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(5, "5 s"), (60, "1 min"), (720, "12 min"), (3600, "1 h"), (5400, "1 h 30 min"),
     (28800, "8 h"), (187200, "2 d 4 h"), (-4, "0 s"), (3599, "1 h")],
)  # fmt: skip
def test_durations_are_said_in_at_most_two_units(seconds, words):
    assert format_duration(timedelta(seconds=seconds)) == words


def test_memory_is_said_in_gib_from_one_on():
    assert [format_memory(m) for m in (512, 1024, 1536, 81920)] == [
        "512 MiB", "1 GiB", "1.5 GiB", "80 GiB",
    ]  # fmt: skip


def test_hours_are_exact_decimals():
    assert gpu_hours(3, timedelta(minutes=20)) == Decimal("1.000000")
    assert gpu_hours(2, timedelta(minutes=90)) == Decimal(3)


def test_numbers_are_said_as_people_do():
    assert [ordinal(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 102, 111)] == [
        "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "102nd", "111th",
    ]  # fmt: skip
    assert (plural(1, "GPU"), plural(2, "GPU")) == ("1 GPU", "2 GPUs")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "less than a minute"), (0, "less than a minute"), (59, "less than a minute"),
     (60, "about 1 min"), (5400, "about 1 h 30 min")],
)  # fmt: skip
def test_a_wait_is_never_said_to_be_nothing(seconds, words):
    assert format_wait(timedelta(seconds=seconds)) == words


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [(300, 1200, "5 min to 20 min"), (0, 1200, "up to 20 min"), (0, 40, ""), (300, 310, "")],
)
def test_a_range_that_begins_at_once_is_told_by_its_end(low, high, words):
    assert format_range(timedelta(seconds=low), timedelta(seconds=high)) == words
