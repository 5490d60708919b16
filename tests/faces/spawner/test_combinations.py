"""What a form's combinations ask for is worked out once for all forms, and anew after a change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mlhub.core.devices import Flavor
from mlhub.profiles import GpuAsk, read_profiles
from mlhub.spawner.combinations import LastAsks

A100 = Flavor(name="a100", display_name="A100", resource="nvidia.com/gpu", max_count=4)


def listed() -> list[dict[str, Any]]:
    """A profile_list as a function of an administrator's gives it, new at each call."""
    few = {"display_name": "One", "kubespawner_override": {"gpu": {"flavor": "a100", "count": 1}}}
    many = {"display_name": "Two", "kubespawner_override": {"gpu": {"flavor": "a100", "count": 2}}}
    return [
        {
            "display_name": "X",
            "kubespawner_override": {"extra_resource_limits": {}, "pre_spawn_hook": print},
            "profile_options": {"n": {"display_name": "N", "choices": {"few": few, "many": many}}},
        }
    ]


def override(rows: list[dict[str, Any]]) -> dict[str, Any]:
    choice = rows[0]["profile_options"]["n"]["choices"]["few"]
    found: dict[str, Any] = choice["kubespawner_override"]
    return found


def test_the_next_form_of_the_same_profiles_works_nothing_out() -> None:
    last = LastAsks()
    first = last.of(read_profiles(listed(), [A100]), [A100], {"node_selector": {}})
    assert first[0].asks == {("few",): GpuAsk("a100", 1), ("many",): GpuAsk("a100", 2)}
    again = last.of(read_profiles(listed(), [A100]), [A100], {"node_selector": {}})
    assert again is first


CHANGES: dict[str, Callable[[list[dict[str, Any]]], None]] = {
    "another count": lambda rows: override(rows)["gpu"].update(count=3),
    "another flavor": lambda rows: override(rows)["gpu"].update(flavor="h100"),
    "no GPU": lambda rows: override(rows).update(gpu={"count": 0}),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_list_that_is_changed_in_place_is_worked_out_anew(
    change: Callable[[list[dict[str, Any]]], None],
) -> None:
    last, rows = LastAsks(), listed()
    first = last.of(read_profiles(rows, [A100]), [A100], {})
    change(rows)
    again = last.of(read_profiles(rows, [A100]), [A100], {})
    assert again[0].asks[("few",)] != first[0].asks[("few",)]
    assert again[0].asks[("many",)] == first[0].asks[("many",)]


def test_what_the_spawner_itself_asks_for_counts_and_may_change_in_place() -> None:
    last, base = LastAsks(), {"extra_resource_limits": {"nvidia.com/gpu": 1}}
    profiles = read_profiles([{"display_name": "X"}], [A100])
    assert last.of(profiles, [A100], base)[0].asks == {(): GpuAsk("a100", 1)}
    base["extra_resource_limits"]["nvidia.com/gpu"] = 4
    assert last.of(profiles, [A100], base)[0].asks == {(): GpuAsk("a100", 4)}


def test_flavors_that_become_known_are_taken_into_account() -> None:
    last, base = LastAsks(), {"extra_resource_limits": {"nvidia.com/gpu": 1}}
    profiles = read_profiles([{"display_name": "X"}], None)
    assert "not known" in str(last.of(profiles, None, base)[0].asks[()])
    assert last.of(profiles, [A100], base)[0].asks == {(): GpuAsk("a100", 1)}
