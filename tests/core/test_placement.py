"""Laws of placement: never double, all on one node, as many as asked, best fit."""

from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mlhub.core.devices import Device, Health, Node, Sharing
from mlhub.core.placement import free_units, largest, open_devices, place
from tests.core.making import a100s, device, inventory, sick

NODES = ("n1", "n2", "n3")


@some.composite
def devices(draw) -> list[Device]:
    """Up to twelve devices on three nodes: whole, shared, or parts of a chip; some sick."""
    rows = []
    for number in range(draw(some.integers(0, 12))):
        shares = draw(some.sampled_from((1, 1, 2, 4)))
        node = draw(some.sampled_from(NODES))
        parent = draw(some.sampled_from((None, f"GPU-{node}-a", f"GPU-{node}-b")))
        rows.append(
            device(
                f"{number:02}", node=node, index=number, shares=shares, parent=parent,
                sharing=Sharing.TIME_SLICING if shares > 1 else Sharing.NONE,
                health=draw(some.sampled_from((Health.OK, Health.OK, Health.OK, Health.SICK))),
            )
        )  # fmt: skip
    return rows


@some.composite
def situations(draw) -> tuple[list[Device], dict[str, int]]:
    """Devices, and how many leases are on each: sometimes more than would be right."""
    rows = draw(devices())
    taken = {row.uuid: draw(some.integers(0, row.shares + 1)) for row in rows}
    return rows, {uuid: number for uuid, number in taken.items() if number}


@given(situations(), some.integers(-1, 6))
def test_a_placement_is_exact_on_one_node_and_of_free_devices_only(situation, count):
    rows, taken = situation
    found = place(rows, count, taken)
    if found is None:
        return
    by_uuid = {row.uuid: row for row in rows}
    chosen = [by_uuid[uuid] for uuid in found.devices]
    assert len(set(found.devices)) == len(found.devices) == count
    assert {row.node for row in chosen} == {found.node}
    assert all(row.usable and taken.get(row.uuid, 0) < row.shares for row in chosen)
    assert found.memory == sum(row.memory // row.shares for row in chosen)
    assert dict(found.capacities) == {row.uuid: row.shares for row in chosen}
    assert list(found.devices) == sorted(found.devices)


@given(situations(), some.integers(1, 6))
def test_there_is_a_placement_whenever_one_node_has_enough_free(situation, count):
    rows, taken = situation
    free = free_units(rows, taken)
    on_node = Counter(row.node for row in rows if row.uuid in free)
    found = place(rows, count, taken)
    assert (found is not None) == any(number >= count for number in on_node.values())
    if found:
        assert on_node[found.node] == min(n for n in on_node.values() if n >= count)


@given(devices(), some.lists(some.integers(1, 4), max_size=40))
def test_one_claim_after_the_other_never_books_a_device_beyond_its_shares(rows, counts):
    taken: Counter[str] = Counter()
    for count in counts:
        found = place(rows, count, taken)
        taken.update(found.devices if found else ())
    assert all(taken[row.uuid] <= (row.shares if row.usable else 0) for row in rows)


@given(devices())
def test_single_claims_use_up_every_share_of_every_healthy_device(rows):
    taken: Counter[str] = Counter()
    while found := place(rows, 1, taken):
        taken.update(found.devices)
    assert taken == {row.uuid: row.shares for row in rows if row.usable}


@given(situations(), some.integers(1, 4), some.randoms())
def test_the_order_in_which_devices_are_listed_does_not_matter(situation, count, random):
    rows, taken = situation
    shuffled = random.sample(rows, len(rows))
    assert place(rows, count, taken) == place(shuffled, count, taken)


@given(situations(), some.integers(1, 4))
def test_of_shared_chips_the_fullest_goes_first_so_that_whole_ones_stay_free(situation, count):
    rows, taken = situation
    found = place(rows, count, taken)
    if found is None:
        return
    free = free_units(rows, taken)
    here = [row.uuid for row in rows if row.node == found.node and row.uuid in free]
    passed_over = [taken.get(uuid, 0) for uuid in here if uuid not in found.devices]
    assert min(taken.get(uuid, 0) for uuid in found.devices) >= max(passed_over, default=0)


@given(devices())
def test_no_claim_can_ever_get_more_than_the_largest_node_has(rows):
    most = largest(rows)
    assert most == max(Counter(row.node for row in rows).values(), default=0)
    assert place(rows, most + 1, {}) is None


def test_a_small_claim_leaves_the_big_node_whole():
    rows = [*a100s(4, "big"), *a100s(2, "small")]
    assert place(rows, 1, {}).node == "small"
    assert place(rows, 2, {}).node == "small"
    assert place(rows, 3, {}).node == "big"


def test_mig_devices_are_taken_from_the_chip_that_has_fewest_left():
    rows = [
        device(f"{chip}{n}", parent=f"GPU-{chip}", profile="1g.10gb", index=i)
        for i, (chip, number) in enumerate((("a", 3), ("b", 2), ("c", 3)))
        for n in range(number)
    ]
    assert place(rows, 2, {}).devices == ("GPU-b0", "GPU-b1")
    assert place(rows, 1, {"GPU-c0": 1, "GPU-c1": 1}).devices == ("GPU-c2",)


def test_of_devices_that_are_alike_the_lowest_number_goes_first():
    rows = [device(name, index=number) for number, name in enumerate("dcba")]
    assert place(rows, 1, {}).devices == ("GPU-d",)
    assert place(rows, 2, {"GPU-c": 1}).devices == ("GPU-b", "GPU-d")


@pytest.mark.parametrize("count", [0, -1, 10**9], ids=["none", "fewer than none", "a billion"])
def test_a_senseless_count_has_no_placement(count):
    assert place(a100s(4), count, {}) is None


def test_only_healthy_devices_on_nodes_that_take_work_are_open():
    rows = [*a100s(2, "n1"), sick(device("bad", node="n1")), *a100s(2, "n2")]
    had = inventory(*rows, n2=Node("n2", schedulable=False, trouble="it is drained"))
    assert open_devices(rows, had) == tuple(a100s(2, "n1"))
    assert open_devices(rows, inventory(*rows)) == (*a100s(2, "n1"), *a100s(2, "n2"))


@given(situations(), some.integers(1, 4))
def test_no_placement_keeps_fewer_devices_free_on_its_node_than_another_could(situation, count):
    """The law of best fit by brute force: every other choice of as many devices is as wasteful."""
    rows, taken = situation
    free = free_units(rows, taken)
    open_rows = [row for row in rows if row.uuid in free]
    found = place(rows, count, taken)
    left = {
        node: sum(row.node == node for row in open_rows) - count
        for node in NODES
        if any(all(row.node == node for row in choice) for choice in combinations(open_rows, count))
    }
    assert (found is None) == (not left)
    if found:
        assert left[found.node] == min(left.values())
