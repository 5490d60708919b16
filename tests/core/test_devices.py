"""Laws of devices and flavors: every device has one flavor, and every flavor a name of its own."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mlhub.core.devices import (
    Device,
    Flavor,
    Health,
    MigProfile,
    Node,
    Sharing,
    flavor_name,
    flavors_of,
    with_missing,
)
from mlhub.core.errors import BadInput
from tests.core.making import a100s, device, inventory

MODELS = (
    "NVIDIA A100 80GB PCIe", "NVIDIA A100-80GB-PCIe", "nvidia a100 80gb pcie", "Tesla T4",
    "NVIDIA T4", "NVIDIA GeForce RTX 4090", "NVIDIA RTX [Ada] *?", "Δ", "",
)  # fmt: skip
LETTERS = "NVIDIA nvidia tesla T4 []*?!-_.+/\\ßΣσς"
PROFILES = (None, "1g.10gb", "1g.10gb+me", "1g.10gb-me", "1c.3g.40gb", "2g.48gb+me.all")


@some.composite
def mixed_devices(draw) -> list[Device]:
    rows = []
    for number in range(draw(some.integers(0, 10))):
        sharing = draw(some.sampled_from(Sharing))
        shares = 1 if sharing is Sharing.NONE else draw(some.integers(2, 8))
        model = draw(some.sampled_from(MODELS) | some.text(LETTERS, max_size=12))
        node = draw(some.sampled_from(("n1", "n2")))
        rows.append(
            device(
                f"{number}", node=node, model=model, sharing=sharing,
                profile=draw(some.sampled_from(PROFILES)), shares=shares,
                memory=draw(some.integers(0, 200_000)),
            )
        )  # fmt: skip
    return rows


@given(mixed_devices())
def test_the_flavors_of_devices_divide_them_without_rest_or_overlap(rows):
    flavors = flavors_of(rows)
    parts = inventory(*rows).stock(flavors).devices
    listed = [row for part in parts.values() for row in part]
    assert sorted(listed, key=lambda row: row.uuid) == sorted(rows, key=lambda row: row.uuid)
    assert all(parts.values())
    assert len({flavor.name for flavor in flavors}) == len(flavors) == len(parts)
    for flavor in flavors:
        assert {(row.profile, row.sharing) for row in parts[flavor.name]} == {
            (flavor.profile, flavor.sharing)
        }


@given(mixed_devices())
def test_a_limit_on_memory_counts_no_device_for_less_than_it_has(rows):
    flavors = flavors_of(rows)
    for name, part in inventory(*rows).stock(flavors).devices.items():
        flavor = next(row for row in flavors if row.name == name)
        assert flavor.memory == max(row.memory // row.shares for row in part)


@given(mixed_devices())
def test_the_name_of_a_flavor_is_a_slug(rows):
    for flavor in flavors_of(rows):
        assert re.fullmatch(r"[a-z0-9][a-z0-9.-]*", flavor.name)


@given(mixed_devices(), some.permutations(list(MODELS)), some.integers(0, 4))
def test_any_flavors_give_each_device_to_at_most_one_of_them(rows, models, number):
    some_models = [*models[:number], "*"]
    named = (Flavor(name=f"f{n}", display_name="", model=m) for n, m in enumerate(some_models))
    parts = inventory(*rows).stock(tuple(named)).devices
    listed = [row.uuid for part in parts.values() for row in part]
    whole = [row.uuid for row in rows if row.profile is None and row.sharing is Sharing.NONE]
    assert sorted(listed) == sorted(whole)


@pytest.mark.parametrize(
    ("model", "profile", "name"),
    [
        ("NVIDIA A100 80GB PCIe", None, "a100-80gb-pcie"),
        ("NVIDIA A100-SXM4-40GB", "1g.5gb", "a100-sxm4-40gb-1g.5gb"),
        ("NVIDIA A100-SXM4-40GB", "1g.5gb+me", "a100-sxm4-40gb-1g.5gb.me"),
        ("Tesla T4", None, "t4"),
        ("NVIDIA GeForce RTX 4090", None, "rtx-4090"),
        ("☃", None, "gpu"),
    ],
)
def test_a_model_of_the_driver_has_a_short_name(model, profile, name):
    assert flavor_name(model, profile) == name


@pytest.mark.parametrize(
    ("name", "slices", "resource"),
    [
        ("1g.10gb", 1, "nvidia.com/mig-1g.10gb"),
        ("7g.141gb", 7, "nvidia.com/mig-7g.141gb"),
        ("1g.10gb+me", 1, "nvidia.com/mig-1g.10gb.me"),
        ("1g.24gb-me", 1, "nvidia.com/mig-1g.24gb-me"),
        ("2g.48gb+me.all", 2, "nvidia.com/mig-2g.48gb.me.all"),
        ("4g.96gb+gfx", 4, "nvidia.com/mig-4g.96gb.gfx"),
        ("1c.3g.40gb", 1, "nvidia.com/mig-1c.3g.40gb"),
    ],
)
def test_a_mig_profile_knows_its_slices_and_its_resource(name, slices, resource):
    profile = MigProfile(name)
    assert (profile.slices, profile.resource) == (slices, resource)


@pytest.mark.parametrize("name", ["", "1g", "0g.10gb", "9g.10gb", "1g.10gb+", "1G.10GB", "x" * 99])
def test_what_is_no_mig_profile_is_refused(name):
    with pytest.raises(BadInput, match="is no MIG profile"):
        MigProfile(name)


def test_a_flavor_with_a_selector_takes_devices_of_its_nodes_only():
    rows = [*a100s(1, "n1"), *a100s(1, "n2")]
    had = inventory(*rows, n1=Node("n1", labels={"pool": "fast"}))
    fast = Flavor(name="fast", display_name="", selector={"pool": "fast"})
    assert had.stock((fast,)).devices == {"fast": (rows[0],)}


def test_a_device_that_is_missing_is_lost_and_keeps_its_place():
    rows = a100s(3)
    found = with_missing([rows[0], rows[2]], rows, lambda row: f"{row.uuid} is not there")
    assert [row.uuid for row in found] == [row.uuid for row in rows]
    assert [row.health for row in found] == [Health.OK, Health.LOST, Health.OK]
    assert found[1].trouble == "GPU-n1-1 is not there"
    assert with_missing(rows, rows, str) == tuple(rows)


@given(mixed_devices(), mixed_devices())
def test_no_device_that_was_ever_known_is_left_out_or_listed_twice(seen, known):
    found = with_missing(seen, known, lambda row: "gone")
    uuids = [row.uuid for row in found]
    assert sorted(uuids) == sorted({row.uuid for row in (*seen, *known)})
    assert {row for row in found if row.trouble != "gone"} == set(seen)
