"""Use outside a lease: which processes are strays, and who is told what."""

from dataclasses import dataclass, replace

import pytest

from mlhub.broker.ports import DeviceUse
from mlhub.core.strays import find_strays, lasting
from tests.core.making import lease

ADA = lease("L-ada", "n1-0", user="ada")
BOB = lease("L-bob", "n1-1", user="bob")


def use(device: str = "n1-0", lease_id: str = "", **more) -> DeviceUse:
    return DeviceUse(f"GPU-{device}", 4711, "bob", lease_id=lease_id, **more)


def strays(*uses: DeviceUse, leases=(ADA, BOB)):
    return find_strays(uses, leases)


def test_a_process_on_a_device_of_its_own_lease_is_no_stray():
    assert strays(use("n1-0", "L-ada"), use("n1-1", "L-bob")) == []


def test_several_leases_on_one_shared_device_are_no_strays():
    other = replace(BOB, placement=ADA.placement)
    assert strays(use("n1-0", "L-ada"), use("n1-0", "L-bob"), leases=(ADA, other)) == []


@pytest.mark.parametrize(
    ("seen", "owner", "disturbed"),
    [
        (use("n1-0", "L-bob"), "bob", ("ada",)),
        (use("n1-0", ""), "", ("ada",)),
        (use("n1-0", "L-of-yesterday"), "", ("ada",)),
        (use("n1-7", "L-bob"), "bob", ()),
        (use("n1-7", ""), "", ()),
    ],
    ids=[
        "with the lease of another device", "without a lease", "with a lease that is over",
        "on a device that nobody leased, with a lease", "on a device that nobody leased",
    ],
)  # fmt: skip
def test_a_process_is_a_stray(seen, owner, disturbed):
    (found,) = strays(seen)
    assert (found.owner, found.disturbed) == (owner, disturbed)
    assert (found.device, found.pid, found.user) == (seen.device, 4711, "bob")


def test_a_user_is_not_disturbed_by_their_own_other_server():
    second = lease("L-bob-2", "n1-2", user="bob")
    (found,) = strays(use("n1-2", "L-bob"), leases=(BOB, second))
    assert (found.owner, found.disturbed) == ("bob", ())


def test_a_desktop_that_draws_is_no_stray():
    assert strays(use("n1-0", graphics=True)) == []


def test_each_is_told_what_concerns_them():
    (found,) = strays(use("n1-0", "L-bob", memory=512))
    assert found.for_owner() == (
        "Your process 4711 works on GPU GPU-n1-0, which its server has not leased. "
        "End it, and leave CUDA_VISIBLE_DEVICES as your server has set it."
    )
    assert found.for_holder() == (
        "A process that is not yours (4711, of the system user bob) works on your GPU GPU-n1-0. "
        "The administrators see it too."
    )
    assert found.for_admin() == (
        "Process 4711 of the system user bob, from a server of bob, works on GPU GPU-n1-0 "
        "without a lease of it; it is leased to ada."
    )


def test_an_unknown_process_on_a_free_device_is_described_without_names():
    (found,) = strays(replace(use("n1-7"), user=""))
    assert found.for_admin() == (
        "Process 4711 of the system user unknown works on GPU GPU-n1-7 without a lease of it."
    )


def test_a_stray_of_a_moment_does_not_last():
    first = strays(use("n1-0"), use("n1-7"))
    second = strays(use("n1-0", memory=9000))
    assert lasting(first, second) == second
    assert lasting([], second) == []


@dataclass(frozen=True)
class Pod:
    """Another adapter's idea of a use: the function asks for the words alone."""

    device: str = "GPU-n1-0"
    pid: int = 1
    user: str = ""
    memory: int | None = None
    lease_id: str = ""
    graphics: bool = False


def test_any_value_with_these_words_is_a_use():
    assert find_strays([Pod()], [ADA])[0].disturbed == ("ada",)
