"""The same choice with another GPU: one answer differs, everything else stays."""

from __future__ import annotations

from typing import Any

import pytest

from mlhub.profiles import GpuAsk, instead, read_profiles
from tests.faces.spawner.test_profiles import FLAVORS, PROFILES

WAITING = {"profile": "any", "gpu": "a100", "count": "2", "duration": "2h", "wait": True}


def switched(options: dict[str, Any], wanted: GpuAsk | None) -> dict[str, Any] | None:
    return instead(read_profiles(PROFILES, FLAVORS), options, wanted, FLAVORS)


def test_another_gpu_keeps_environment_count_and_duration_and_does_not_wait() -> None:
    found = switched(WAITING, GpuAsk("h100", 2))
    assert found == {
        "profile": "any", "gpu": "h100", "count": "2", "duration": "2h", "wait": False,
    }  # fmt: skip


def test_going_without_a_gpu_is_a_switch_too() -> None:
    found = switched(WAITING, None)
    assert found is not None
    assert (found["profile"], found["gpu"]) == ("any", "none")


def test_words_of_ones_own_are_kept() -> None:
    found = switched(
        {"gpu": "two", "image--unlisted-choice": "mine:1", "wait": True}, GpuAsk("h100", 1)
    )
    assert found is not None
    assert (found["gpu"], found["image--unlisted-choice"]) == ("ours", "mine:1")


@pytest.mark.parametrize(
    "options",
    [
        {"profile": "gone", "gpu": "a100"},
        {"profile": "any", "gpu": "a100", "count": "2", "surprise": "yes"},
        {"profile": "pytorch", "gpu": "two"},
    ],
)
def test_where_the_environment_has_no_such_choice_it_has_to_be_picked_anew(options: Any) -> None:
    assert switched(options, GpuAsk("mig", 2)) is None
