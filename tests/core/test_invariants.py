"""Each invariant names what breaks it, and says what was looked at to know that."""

from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal

import pytest

from mlhub.core.claims import ClaimState
from mlhub.core.invariants import QUIET, Finding, examine
from mlhub.core.leases import EndReason, attach, end
from mlhub.core.ledger import bill
from mlhub.core.lifecycle import Observation, Presence
from mlhub.core.policy import Limit, Policy
from mlhub.core.usage_invariants import examine_sums, examine_usage
from tests.core.making import (
    HOUR,
    MINUTE,
    NOON,
    a100s,
    ask,
    claim,
    device,
    inventory,
    lease,
    ledger,
)

THERE, GONE = Observation(Presence.THERE, "h"), Observation(Presence.GONE)


@dataclass(frozen=True)
class Process:
    device: str
    lease_id: str
    pid: int = 7
    user: str = "ada"
    memory: int | None = None
    graphics: bool = False


def held(name, *devices, holder="", **more):
    """A lease whose holder runs since noon."""
    row = attach(lease(name, *devices, **more), holder=holder or f"h-{name}", started_at=NOON)
    return bill(row, NOON, Decimal(1))[0]


def findings(*rows, devices=None, seen=None, now=NOON, uses=None, **rules) -> dict[str, Finding]:
    stock = inventory(*(devices or a100s(4)))
    found = examine(ledger(*rows), stock, Policy(**rules), seen or {}, now, uses=uses)
    return {row.invariant: row for row in found}


def broken(*rows, **more) -> dict[str, str]:
    return {key: row.detail for key, row in findings(*rows, **more).items() if not row.ok}


def test_a_sound_ledger_says_what_was_looked_at():
    rows = held("l", "n1-0"), held("m", "n1-1", user="bob")
    uses = [Process("GPU-n1-0", "l"), Process("GPU-n1-1", "m")]
    found = findings(*rows, seen={"l": THERE, "m": GONE}, uses=uses)
    assert [key for key, row in found.items() if not row.ok] == []
    assert found["I1"].looked_at == "2 live leases and 4 GPUs; processes on them: 2"
    assert found["I2"].looked_at == "2 live leases of 2 users and 0 group limits"
    assert found["I3"].looked_at == "2 live leases; the processes of 2 leases: 1 run"


def test_what_could_not_be_seen_is_said_too():
    found = findings(held("l", "n1-0"), seen={"l": Observation(Presence.UNKNOWN)})
    assert found["I1"].looked_at.endswith("what runs on them could not be seen")
    assert found["I6"].looked_at.endswith("0 run, 1 could not be looked at")


def test_the_hardware_may_show_two_leases_on_one_gpu_where_the_ledger_has_one():
    uses = [Process("GPU-n1-0", "l"), Process("GPU-n1-0", "of-yesterday", pid=8)]
    assert broken(held("l", "n1-0"), uses=uses) == {
        "I1": "processes of 2 leases work on GPU-n1-0: l, of-yesterday"
    }


@pytest.mark.parametrize(
    "second",
    [
        Process("GPU-n1-0", "l", pid=8),
        Process("GPU-n1-0", "", pid=8),
        Process("GPU-n1-0", "desktop", graphics=True),
        Process("GPU-n1-1", "m"),
    ],
    ids=["the same lease", "no lease", "a desktop", "another GPU"],
)
def test_other_processes_on_a_gpu_are_no_second_lease(second):
    assert broken(held("l", "n1-0"), uses=[Process("GPU-n1-0", "l"), second]) == {}


def test_a_shared_gpu_may_have_as_many_as_its_shares():
    shared = [device("s", shares=2)]
    uses = [Process("GPU-s", name) for name in ("l", "m")]
    assert broken(devices=shared, uses=uses) == {}
    assert "I1" in broken(devices=shared, uses=[*uses, Process("GPU-s", "n")])


LIMITS = {
    "GPUs": ({"everyone": Limit(devices=1)}, "ada holds 2 of 1 GPUs"),
    "memory": ({"everyone": Limit(memory=81920)}, "ada holds 160 GiB of 80 GiB of GPU memory"),
    "servers": ({"everyone": Limit(servers=0)}, "ada has 1 of 0 servers"),
    "a group's": ({"groups": {"ml": Limit(devices=1)}}, "the group ml holds 2 of 1 GPUs"),
}


@pytest.mark.parametrize("name", LIMITS)
def test_every_kind_of_limit_is_looked_at(name):
    rules, text = LIMITS[name]
    row = held("l", "n1-0", "n1-1", groups=("ml",))
    assert broken(row, **rules) == {"I2": text}
    assert broken(row) == {}


def test_one_holder_of_two_leases_breaks_an_invariant():
    rows = held("l", "n1-0", holder="h"), held("m", "n1-1", holder="h", server="b")
    assert broken(*rows) == {"I3": "leases l and m have one holder"}


def test_two_leases_of_one_server_are_wrong_when_both_run():
    rows = held("l", "n1-0"), held("m", "n1-1")
    assert broken(*rows, seen={"l": THERE, "m": GONE}) == {}
    assert broken(*rows, seen={"l": THERE, "m": THERE}) == {
        "I3": "leases l and m are of one server, and both run"
    }


def test_a_lease_without_a_holder_needs_a_timer_that_runs():
    row = lease("l", "n1-0")
    assert broken(row, now=row.start_by + QUIET) == {}
    late = broken(row, now=row.start_by + QUIET + MINUTE)
    assert late == {"I3": "lease l of ada has no holder, and should have had one by 12:05:00"}


def test_a_claim_must_name_the_lease_that_names_it():
    granted = replace(
        claim("claim-l"), state=ClaimState.GRANTED, lease_id="l", ask=ask(), decided_at=NOON
    )
    assert broken(granted, lease("l", "n1-0")) == {}
    other = replace(granted, lease_id="another")
    assert broken(other, lease("l", "n1-0")) == {
        "I5": "claim claim-l of ada names another lease than l"
    }


@pytest.mark.parametrize("ending", [False, True], ids=["active", "ending"])
def test_a_lease_must_not_outlive_its_holder(ending):
    row = held("l", "n1-0")
    if ending:
        row = replace(end(row, EndReason.RELEASED, by="ada"), stop_asked_at=NOON)
    assert broken(row, seen={"l": GONE}, now=NOON + QUIET) == {}
    late = broken(row, seen={"l": GONE}, now=NOON + QUIET + MINUTE)
    assert late == {"I6": f"lease l of ada is still {row.status}"}


def test_a_holder_that_does_not_end_when_asked_breaks_an_invariant():
    row = replace(end(held("l", "n1-0"), EndReason.RELEASED, by="ada"), stop_asked_at=NOON)
    assert broken(row, seen={"l": THERE}, now=NOON + 4 * Policy().stop_timeout) == {}
    assert list(broken(row, seen={"l": THERE}, now=NOON + HOUR)) == ["I6"]


def billed(hours=2):
    """A lease and its entries, one for each hour."""
    row, entries = held("l", "n1-0"), []
    for hour in range(1, hours + 1):
        row, made = bill(row, NOON + hour * HOUR, Decimal(1))
        entries += made
    return replace(row, seen_at=NOON + hours * HOUR), entries


def test_entries_add_up_to_what_their_lease_was_billed_for():
    row, entries = billed()
    assert examine_sums(entries, [row]).ok
    assert examine_sums(entries, [row]).looked_at == "usage entries: 2, 1 lease that they cover"
    lost = examine_sums(entries[:1], [row])
    assert (lost.ok, lost.invariant) == (False, "I4")
    assert lost.detail == "lease l was billed for 2:00:00, its entries say 1:00:00"
    assert not examine_sums([*entries, entries[0]], [row]).ok


def test_leases_whose_entries_were_not_all_read_are_left_out():
    row, entries = billed()
    found = examine_sums(entries[1:], [row], since=entries[1].end)
    assert found.ok
    assert "0 leases" in found.looked_at
    assert not examine_sums(entries[1:], [row], since=NOON - HOUR).ok


def test_nobody_pays_for_another():
    row, entries = billed()
    found = examine_sums([replace(entries[0], user="bob"), entries[1]], [row])
    assert found.detail == "lease l of ada was billed to bob"


def test_nothing_is_billed_past_the_last_sight_of_the_holder():
    row, entries = billed()
    assert examine_usage(entries, timedelta(0), [row]).ok
    blind = replace(row, seen_at=NOON + HOUR)
    found = examine_usage(entries, timedelta(0), [blind])
    assert (found.ok, found.invariant) == (False, "I7")
    assert "billed until 14:00:00, its holder was last seen at 13:00:00" in found.detail


def test_entries_that_overlap_are_out_of_order_unless_the_clock_was_set_back():
    _, (first, second) = billed()
    again = replace(second, start=second.start - MINUTE)
    assert not examine_usage([first, again]).ok
    assert examine_usage([first, again], MINUTE).ok
