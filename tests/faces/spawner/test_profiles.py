"""Profile lists and what people choose from them: tables, and whatever JSON can hold."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlhub.core.devices import Flavor
from mlhub.core.errors import BadInput
from mlhub.core.quantities import format_duration
from mlhub.profiles import GpuAsk, merged, read_profiles, resolve
from mlhub.profiles.reading import slugify

A100 = Flavor("a100", "A100 80 GB", selector={"gpu": "a100"}, max_count=4)
H100 = Flavor("h100", "H100 80 GB", selector={"gpu": "h100"}, max_count=8)
BIG_H100 = Flavor("h100-nvl", "H100 NVL", selector={"gpu": "h100", "nvl": "yes"}, max_count=2)
MIG = Flavor("mig", "A100 1g.10gb", resource="nvidia.com/mig-1g.10gb", max_count=7)
FLAVORS = [A100, H100, BIG_H100, MIG]

GPUS = {"nvidia.com/gpu": "2"}
PROFILES: list[dict[str, Any]] = [
    {
        "display_name": "PyTorch",
        "default": True,
        "kubespawner_override": {"image": "torch", "environment": {"A": "1", "B": "2"}},
        "profile_options": {
            "gpu": {
                "display_name": "GPU",
                "choices": {
                    "none": {"display_name": "None"},
                    "two": {
                        "display_name": "Two A100",
                        "kubespawner_override": {
                            "extra_resource_limits": GPUS,
                            "node_selector": {"gpu": "a100"},
                            "environment": {"A": None, "C": "3"},
                        },
                    },
                    "ours": {"kubespawner_override": {"gpu": {"flavor": "h100", "count": 1}}},
                },
            },
            "image": {
                "display_name": "Image",
                "choices": {"stable": {"kubespawner_override": {"image": "stable"}}},
                "unlisted_choice": {
                    "enabled": True,
                    "display_name": "Your image",
                    "validation_regex": "[a-z]+:[0-9]",
                    "validation_message": "name:digit",
                    "kubespawner_override": {"image": "registry/{value}", "args": ["{value}"]},
                },
            },
        },
    },
    {"display_name": "Any GPU", "slug": "any", "gpus": "any", "duration": "4h"},
]


def chosen(options: object, profiles: Any = PROFILES, flavors: Any = FLAVORS) -> Any:
    return resolve(read_profiles(profiles, flavors), options, flavors)


def settings_of(options: object) -> dict[str, Any]:
    return merged({"image": "base", "environment": {"Z": "0"}}, chosen(options).overrides)


# --- What KubeSpawner's users know


def test_no_choice_at_all_is_the_default_profile_with_every_default() -> None:
    found = chosen({})
    assert found.options == {"profile": "pytorch", "gpu": "none", "image": "stable"}
    assert found.ask is None
    assert found.duration is None


def test_the_first_profile_is_the_default_where_none_is_marked() -> None:
    profiles = [{"display_name": "One"}, {"display_name": "Two"}]
    assert chosen({}, profiles).profile.slug == "one"


def test_a_dict_of_profiles_is_shown_in_the_order_of_its_keys() -> None:
    profiles = {"2": {"display_name": "B"}, "1": {"display_name": "A"}}
    assert [row.slug for row in read_profiles(profiles)] == ["a", "b"]


def test_no_profiles_at_all_is_no_choice() -> None:
    assert chosen({}, []).profile is None
    assert chosen(None, []).overrides == ()


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        pytest.param("PyTorch 2.9 (CUDA 12)", "pytorch-2-9-cuda-12", id="words and signs"),
        pytest.param("  Ürsprünglich  ", "ursprunglich", id="accents are folded"),
        pytest.param("深度学习", "profile", id="nothing is left of it"),
    ],
)
def test_a_slug_is_made_from_the_name(name: str, slug: str) -> None:
    assert slugify(name) == slug


def test_overrides_are_merged_in_depth_and_none_removes_a_key() -> None:
    settings = settings_of({"gpu": "two"})
    assert settings["environment"] == {"Z": "0", "B": "2", "C": "3"}
    assert settings["extra_resource_limits"] == GPUS


def test_later_options_win_and_nothing_configured_is_changed() -> None:
    assert settings_of({})["image"] == "stable"
    assert PROFILES[0]["kubespawner_override"]["environment"] == {"A": "1", "B": "2"}


def test_words_of_ones_own_go_where_the_placeholder_is() -> None:
    settings = settings_of({"image--unlisted-choice": "mine:7"})
    assert settings["image"] == "registry/mine:7"
    assert settings["args"] == ["mine:7"]
    assert (
        chosen({"image--unlisted-choice": "mine:7"}).options["image--unlisted-choice"] == "mine:7"
    )


def test_the_words_must_match_as_a_whole_and_the_message_says_how() -> None:
    with pytest.raises(BadInput, match="name:digit"):
        chosen({"image--unlisted-choice": "mine:7; rm -rf"})


# --- GPUs


@pytest.mark.parametrize(
    ("override", "ask"),
    [
        pytest.param(
            {"extra_resource_limits": GPUS, "node_selector": {"gpu": "a100"}},
            GpuAsk("a100", 2),
            id="a resource and its selector",
        ),
        pytest.param(
            {"extra_resource_limits": {"nvidia.com/gpu": 1}, "node_selector": {"gpu": "h100"}},
            GpuAsk("h100", 1),
            id="the flavor whose selector is named, not the narrower one",
        ),
        pytest.param(
            {
                "extra_resource_limits": {"nvidia.com/gpu": "1"},
                "node_selector": {"gpu": "h100", "nvl": "yes", "zone": "b"},
            },
            GpuAsk("h100-nvl", 1),
            id="the narrowest flavor that is named in full",
        ),
        pytest.param(
            {"extra_resource_limits": {"nvidia.com/mig-1g.10gb": "1", "cpu": "4"}},
            GpuAsk("mig", 1),
            id="a MIG resource needs no selector",
        ),
        pytest.param(
            {"extra_resource_guarantees": {"nvidia.com/mig-1g.10gb": "3"}},
            GpuAsk("mig", 3),
            id="a guarantee counts where there is no limit",
        ),
        pytest.param({"gpu": {"flavor": "a100"}}, GpuAsk("a100", 1), id="our key, one by default"),
        pytest.param({"gpu": {"flavor": "a100", "count": "3"}}, GpuAsk("a100", 3), id="our key"),
        pytest.param({"gpu": {"flavor": "a100", "count": 0}}, None, id="none of it"),
        pytest.param({"gpu": {"count": 2}}, None, id="a count of nothing"),
        pytest.param({"gpu": None}, None, id="our key says no"),
        pytest.param({"extra_resource_limits": {"nvidia.com/gpu": "0"}}, None, id="zero of one"),
        pytest.param({"extra_resource_limits": {"cpu": "4"}}, None, id="no GPU at all"),
    ],
)
def test_a_choice_asks_for_gpus_by_resource_or_by_our_key(override: Any, ask: Any) -> None:
    assert chosen({}, [{"display_name": "X", "kubespawner_override": override}]).ask == ask


@pytest.mark.parametrize(
    ("override", "text"),
    [
        pytest.param(
            {"extra_resource_limits": {"nvidia.com/gpu": "1"}}, "could be any of", id="ambiguous"
        ),
        pytest.param(
            {"extra_resource_limits": {"nvidia.com/mig-7g.80gb": "1"}}, "no GPUs", id="not here"
        ),
        pytest.param(
            {"extra_resource_limits": {"nvidia.com/gpu": "1", "nvidia.com/mig-1g.10gb": "1"}},
            "at once",
            id="two kinds",
        ),
        pytest.param(
            {"extra_resource_limits": {"nvidia.com/gpu": "two"}}, "no number", id="in words"
        ),
        pytest.param({"gpu": ["a100"]}, "no flavor and count", id="a list"),
        pytest.param({"gpu": {"flavor": 7}}, "no flavor's name", id="a number for a name"),
        pytest.param({"gpu": {"flavor": "a100", "count": -1}}, "no number", id="minus one"),
        pytest.param({"gpu": {"flavor": "a100", "count": 1e9}}, "no number", id="a billion"),
        pytest.param({"gpu": {"flavor": "a100", "count": True}}, "no number", id="true"),
    ],
)
def test_what_cannot_be_asked_for_is_said(override: Any, text: str) -> None:
    with pytest.raises(BadInput, match=text):
        chosen({}, [{"display_name": "X", "kubespawner_override": override}])


def test_any_gpu_offers_none_and_each_flavor_and_how_many() -> None:
    profile = read_profiles(PROFILES, FLAVORS)[1]
    gpu, count = profile.options
    assert [row.slug for row in gpu.choices] == ["none", "a100", "h100", "h100-nvl", "mig"]
    assert [row.slug for row in count.choices] == [str(n) for n in range(1, 9)]
    assert chosen({"profile": "any"}).ask is None
    assert chosen({"profile": "any", "count": 3}).ask is None
    assert chosen({"profile": "any", "gpu": "h100", "count": 3}).ask == GpuAsk("h100", 3)


def test_many_devices_are_offered_in_powers_of_two() -> None:
    flavor = Flavor("big", "Big", max_count=24)
    _, count = read_profiles([{"display_name": "X", "gpus": "any"}], [flavor])[0].options
    assert [row.slug for row in count.choices] == ["1", "2", "4", "8", "16", "24"]


def test_a_flavors_name_is_taken_on_trust_while_the_flavors_are_not_known() -> None:
    found = chosen({"profile": "any", "gpu": "b200", "count": 2}, flavors=None)
    assert found.ask == GpuAsk("b200", 2)
    with pytest.raises(BadInput):
        chosen({"profile": "any", "gpu": "../../x"}, flavors=None)


def test_without_gpus_any_gpu_offers_none_only() -> None:
    (gpu,) = read_profiles([{"display_name": "X", "gpus": "any"}], [])[0].options
    assert [row.slug for row in gpu.choices] == ["none"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param({"profile": "any"}, "4 h", id="the profile's"),
        pytest.param({"profile": "any", "duration": "90min"}, "1 h 30 min", id="the person's"),
        pytest.param({"profile": "any", "duration": 7200}, "2 h", id="in seconds"),
    ],
)
def test_a_duration_comes_from_the_person_or_the_profile(options: Any, words: str) -> None:
    assert format_duration(chosen(options).duration) == words


# --- Bad options


@pytest.mark.parametrize(
    ("options", "field"),
    [
        pytest.param({"profile": "nope"}, "profile", id="unknown profile"),
        pytest.param({"profile": ["pytorch"]}, "profile", id="a list for a profile"),
        pytest.param({"profile": 7}, "profile", id="a number for a profile"),
        pytest.param({"gpu": "six"}, "gpu", id="unknown choice"),
        pytest.param({"gpu": ["two"]}, "gpu", id="a list for a choice"),
        pytest.param({"gpu": {"two": 1}}, "gpu", id="an object for a choice"),
        pytest.param({"gpu": True}, "gpu", id="true for a choice"),
        pytest.param({"colour": "red"}, "colour", id="unknown option"),
        pytest.param({"gpu--unlisted-choice": "x"}, "gpu--unlisted-choice", id="nothing unlisted"),
        pytest.param({"image--unlisted-choice": 7}, "image--unlisted-choice", id="no words"),
        pytest.param({"image--unlisted-choice": "a:1\n"}, "image--unlisted-choice", id="a line"),
        pytest.param({"image--unlisted-choice": "x" * 10**6}, "image--unlisted-choice", id="1 MB"),
        pytest.param({"x" * 10**6: "y"}, "x" * 60, id="a name of 1 MB"),
        pytest.param({f"o{n}": 1 for n in range(999)}, "user_options", id="999 options"),
        pytest.param({"profile": "any", "gpu": "a100", "count": 0}, "count", id="count 0"),
        pytest.param({"profile": "any", "gpu": "a100", "count": -1}, "count", id="count -1"),
        pytest.param({"profile": "any", "gpu": "a100", "count": 1e9}, "count", id="count 1e9"),
        pytest.param({"profile": "any", "gpu": "a100", "count": "two"}, "count", id="count two"),
        pytest.param({"profile": "any", "gpu": "a100", "count": [1]}, "count", id="count [1]"),
        pytest.param({"profile": "any", "gpu": "a100", "count": 10**400}, "count", id="count huge"),
        pytest.param({"profile": "any", "gpu": "b200"}, "gpu", id="no such flavor"),
        pytest.param({"duration": "soon"}, "duration", id="no duration"),
        pytest.param({"duration": [8]}, "duration", id="a list for a duration"),
        pytest.param({"duration": -1}, "duration", id="a negative duration"),
        pytest.param({"duration": 10**400}, "duration", id="a huge duration"),
        pytest.param({"duration": math.inf}, "duration", id="an endless duration"),
        pytest.param({"duration": math.nan}, "duration", id="a duration that is no number"),
        pytest.param({"duration": "1s"}, "duration", id="a second"),
        pytest.param({"wait": "yes"}, "wait", id="words for true"),
        pytest.param({"wait": 1}, "wait", id="a number for true"),
        pytest.param(["profile"], "user_options", id="a list of options"),
        pytest.param("profile", "user_options", id="a text of options"),
        pytest.param(7, "user_options", id="a number of options"),
    ],
)
def test_every_bad_option_is_refused_with_its_name(options: Any, field: str) -> None:
    with pytest.raises(BadInput) as refused:
        chosen(options)
    assert refused.value.field == field
    assert refused.value.remedy
    assert len(str(refused.value)) < 600
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "profile_list",
    [
        pytest.param(7, id="a number"),
        pytest.param(["torch"], id="a list of names"),
        pytest.param([{"slug": "x"}], id="no name"),
        pytest.param([{"display_name": 7}], id="a number for a name"),
        pytest.param([{"display_name": "X", "profile_options": ["gpu"]}], id="options as a list"),
        pytest.param([{"display_name": "X"}, {"display_name": "x"}], id="one slug twice"),
        pytest.param([{"display_name": "X", "profile_options": {"wait": {}}}], id="reserved"),
        pytest.param(
            [{"display_name": "X", "gpus": "any", "profile_options": {"gpu": {}}}], id="gpu twice"
        ),
        pytest.param([{"display_name": "X", "duration": "soon"}], id="no duration"),
        pytest.param(
            [{"display_name": "X", "profile_options": {
                "o": {"unlisted_choice": {"enabled": True, "validation_regex": "("}}}}],
            id="no pattern",
        ),
    ],
)  # fmt: skip
def test_a_profile_list_of_another_shape_is_refused(profile_list: Any) -> None:
    with pytest.raises(BadInput) as refused:
        read_profiles(profile_list, FLAVORS)
    assert refused.value.field.startswith("profiles")


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
NAMES = st.sampled_from(
    ["profile", "gpu", "count", "image", "duration", "wait", "image--unlisted-choice"]
)
ANSWERS = ANY_JSON | st.sampled_from(["any", "pytorch", "two", "a100", "2", "8h", True])


@given(st.dictionaries(NAMES | st.text(max_size=12), ANSWERS, max_size=6) | ANY_JSON)
def test_whatever_comes_is_understood_or_refused_and_nothing_else_escapes(options: Any) -> None:
    try:
        found = chosen(options)
    except BadInput:
        return
    assert chosen(found.options).options == found.options


@given(ANY_JSON)
def test_any_profile_list_is_understood_or_refused(profile_list: Any) -> None:
    try:
        profiles = read_profiles([profile_list], FLAVORS)
        resolve(profiles, {}, FLAVORS)
    except BadInput:
        return
