"""Limits, refusals and grants: what an ask is answered, and why."""

from dataclasses import replace

import pytest

from mlhub.core.admission import admit, judge, kept_devices, pressure, queue_forecasts
from mlhub.core.claims import ClaimState
from mlhub.core.decisions import Reason
from mlhub.core.devices import Node
from mlhub.core.ledger import Changes
from mlhub.core.policy import Limit, Policy
from tests.core.making import (
    A100,
    HOUR,
    MINUTE,
    NOON,
    T4,
    a100s,
    ask,
    claim,
    device,
    ids,
    inventory,
    lease,
    ledger,
    sick,
)

FLAVORS = (A100, T4)
POLICY = Policy(flavors=FLAVORS)
STOCK = inventory(*a100s(4), device("t", model="Tesla T4"))


def verdict(asked, *rows, **rules):
    return judge(ledger(*rows), STOCK, Policy(flavors=FLAVORS, **rules), asked, NOON)


def test_a_flavor_that_is_nowhere_is_refused_with_those_that_are():
    denied = verdict(ask(flavor="h100"))
    assert denied.reason is Reason.UNKNOWN_FLAVOR
    assert "h100" in denied.message
    assert "a100, t4" in denied.message


def test_more_than_one_node_has_is_refused_with_the_most_that_fits():
    denied = verdict(ask(count=5))
    assert (denied.reason, denied.limit, denied.used) == (Reason.TOO_MANY, 4, 5)
    assert denied.retry_at is None


def test_the_device_limit_names_what_is_held_since_when_and_when_it_ends():
    mine = lease("l", "n1-0", "n1-1", server="train", at=NOON - HOUR)
    denied = verdict(ask(), mine, everyone=Limit(devices=2))
    assert (denied.reason, denied.limit, denied.used) == (Reason.DEVICE_LIMIT, 2, 2)
    assert denied.message == (
        "Your limit is 2 GPUs; you hold 2: 2 in server 'train' since 11:00 UTC."
    )
    assert denied.retry_at == mine.ends_at


def test_an_ask_over_the_limit_as_a_whole_can_never_be_retried():
    assert verdict(ask(count=3), lease("l", "n1-0"), everyone=Limit(devices=2)).retry_at is None


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        ({"everyone": Limit(memory=100_000)}, Reason.MEMORY_LIMIT),
        ({"everyone": Limit(servers=1)}, Reason.SERVER_LIMIT),
        ({"everyone": Limit(flavors=frozenset({"t4"}))}, Reason.FLAVOR_NOT_ALLOWED),
        ({"everyone": Limit(duration=HOUR)}, Reason.DURATION_LIMIT),
        ({"groups": {"vision": Limit(devices=1)}}, Reason.GROUP_LIMIT),
        ({"members": {"vision": Limit(devices=1)}}, Reason.DEVICE_LIMIT),
        ({"users": {"ada": Limit(devices=0)}}, Reason.DEVICE_LIMIT),
    ],
    ids=lambda value: str(value) if isinstance(value, Reason) else "",
)
def test_each_limit_refuses_under_its_own_name(rules, reason):
    mine = lease("l", "n1-0", groups=("vision",))
    denied = verdict(ask(groups=("vision",)), mine, **rules)
    assert denied.reason is reason
    assert denied.message.endswith(".")


def test_a_users_own_limit_goes_before_the_groups_and_the_widest_group_counts():
    rules = {
        "everyone": Limit(devices=0),
        "members": {"a": Limit(devices=1), "b": Limit(devices=2)},
    }
    assert verdict(ask(count=2, groups=("a", "b")), **rules) is None
    assert verdict(ask(count=3, groups=("a", "b")), **rules).limit == 2
    own = {**rules, "users": {"ada": Limit(devices=1)}}
    assert verdict(ask(count=2, groups=("a", "b")), **own).limit == 1


def test_leases_of_others_count_for_the_group_but_not_for_the_user():
    other = lease("l", "n1-0", user="bob", groups=("vision",))
    assert verdict(ask(groups=("vision",)), other, everyone=Limit(devices=1)) is None
    denied = verdict(ask(groups=("vision",)), other, groups={"vision": Limit(devices=1)})
    assert "group 'vision' may hold 1 GPU together" in denied.message


def admitted(*rows, stock=STOCK, policy=POLICY):
    return admit(ledger(*rows), stock, policy, "a100", NOON, ids())


def test_a_grant_takes_devices_of_one_node_until_the_claims_end():
    changes = admitted(claim("a", count=2))
    [row] = changes.leases
    assert row.placement.devices == ("GPU-n1-0", "GPU-n1-1")
    assert row.ends_at == NOON + 8 * HOUR
    assert [c.state for c in changes.claims] == [ClaimState.GRANTED]


def test_only_who_waited_gets_a_started_server_and_the_time_to_come_for_it():
    [asking] = admit(ledger(claim("a")), STOCK, POLICY, "a100", NOON, ids(), "a").leases
    [waited] = admitted(claim("a")).leases
    assert (asking.from_queue, waited.from_queue) == (False, True)
    assert waited.start_by == NOON + 10 * MINUTE


def test_one_who_is_over_a_limit_is_passed_over_and_told_why():
    policy = Policy(flavors=FLAVORS, everyone=Limit(devices=1))
    mine = lease("l", "n1-0")
    changes = admitted(mine, claim("a"), claim("b", user="bob"), policy=policy)
    assert [row.ask.user for row in changes.leases] == ["bob"]
    [noted] = [row for row in changes.claims if row.waiting]
    assert "Your limit is 1 GPU" in noted.blocked


def test_two_waiting_claims_of_one_user_cannot_pass_their_limit_together():
    policy = Policy(flavors=FLAVORS, everyone=Limit(devices=1))
    changes = admitted(claim("a"), claim("b", server="two"), policy=policy)
    assert len(changes.leases) == 1


class Counted(dict):
    """Leases that count how often they are gone through."""

    looks = 0

    def values(self):
        self.looks += 1
        return super().values()


def test_a_long_queue_is_gone_through_without_a_look_at_all_leases_for_each_claim():
    policy = Policy(flavors=FLAVORS, everyone=Limit(devices=2), groups={"vision": Limit(devices=9)})
    waiting = [claim(f"c{i:03}", user=f"u{i}", groups=("vision",), count=2) for i in range(300)]
    rows = [lease(f"l{i}", f"n1-{i}", user=f"v{i}", ends_at=NOON + HOUR) for i in range(3)]
    book = ledger(*rows, *waiting)
    book = replace(book, leases=Counted(book.leases))
    assert admit(book, STOCK, policy, "a100", NOON, ids()) == Changes()
    assert book.leases.looks <= 4


def test_a_claim_passed_over_in_a_pass_leaves_its_device_to_the_next_in_the_same_pass():
    policy = Policy(flavors=FLAVORS, everyone=Limit(devices=1))
    queue = [claim("a"), claim("b", server="two"), claim("c", user="bob", at=NOON + MINUTE)]
    changes = admitted(*queue, stock=inventory(*a100s(2)), policy=policy)
    assert [row.claim_id for row in changes.leases] == ["a", "c"]
    [noted] = [row for row in changes.claims if row.waiting]
    assert (noted.id, "Your limit is 1 GPU" in noted.blocked) == ("b", True)


def test_a_note_of_being_passed_over_goes_when_the_limit_allows_it_again():
    told = replace(claim("a"), blocked="Your limit is 1 GPU; you hold 1.")
    full = [lease(f"l{i}", f"n1-{i}", user="bob") for i in range(4)]
    [noted] = admitted(told, *full).claims
    assert (noted.waiting, noted.blocked) == (True, "")


def test_a_claim_that_no_node_can_serve_any_more_is_told_so():
    [noted] = admitted(claim("a", count=3), stock=inventory(*a100s(2))).claims
    assert "at most 2 of them" in noted.blocked


def test_a_group_that_could_never_hold_as_much_is_not_asked_to_try_again():
    other = lease("l", "n1-0", user="bob", groups=("vision",))
    rules = {"groups": {"vision": Limit(devices=1)}}
    assert verdict(ask(count=2, groups=("vision",)), other, **rules).retry_at is None
    assert verdict(ask(groups=("vision",)), other, **rules).retry_at == other.ends_at


def test_sick_devices_and_closed_nodes_are_not_given_out():
    assert not admitted(claim("a"), stock=inventory(sick(device("0")))).leases
    closed = inventory(device("0"), n1=Node("n1", schedulable=False, trouble="drained"))
    assert not admitted(claim("a"), stock=closed).leases


def test_free_devices_promised_to_the_head_are_named_as_kept():
    book = ledger(lease("l", "n1-0", "n1-1"), claim("big", count=4))
    assert kept_devices(book, STOCK, POLICY, "a100", NOON) == {"GPU-n1-2", "GPU-n1-3"}


def test_applying_a_grant_twice_to_the_ledger_changes_nothing_more():
    book = ledger(claim("a"))
    changes = admit(book, STOCK, POLICY, "a100", NOON, ids())
    once = book.apply(changes)
    assert once.apply(changes).leases == once.leases
    assert admit(once, STOCK, POLICY, "a100", NOON, ids()) == Changes()


def over_their_limit(*, groups=()):
    """A claim at the head of the queue whose owner holds all that they may."""
    mine = lease("l", "n1-0", groups=groups, ends_at=NOON + HOUR)
    return mine, claim("head", count=4, groups=groups, at=NOON - HOUR)


ONE_EACH = Policy(flavors=FLAVORS, users={"ada": Limit(devices=1)})


def test_nothing_is_kept_for_a_claim_that_is_over_its_owners_limit():
    book = ledger(*over_their_limit())
    assert kept_devices(book, STOCK, ONE_EACH, "a100", NOON) == frozenset()
    assert kept_devices(book, STOCK, POLICY, "a100", NOON)


def test_the_next_behind_a_claim_over_its_owners_limit_has_devices_kept():
    mine, head = over_their_limit()
    book = ledger(mine, head, claim("big", user="bob", count=4))
    assert kept_devices(book, STOCK, ONE_EACH, "a100", NOON) == {"GPU-n1-1", "GPU-n1-2", "GPU-n1-3"}


def test_a_claim_over_its_owners_limit_pushes_nobodys_forecast_and_has_none():
    mine, head = over_their_limit()
    rest = [lease(f"m{i}", f"n1-{i}", user="eve", ends_at=NOON + 9 * HOUR) for i in (1, 2, 3)]
    book = ledger(mine, head, *rest, claim("next", user="bob"))
    coming = queue_forecasts(book, STOCK, ONE_EACH, "a100", NOON)
    assert (list(coming), coming["next"].expected) == (["next"], NOON + HOUR)


def test_one_who_is_over_their_own_limit_ends_nobodys_lease_by_waiting():
    mine, head = over_their_limit()
    book = ledger(mine, head)
    assert pressure(book, STOCK, ONE_EACH, "a100", NOON).on(mine) == 0
    assert pressure(book, STOCK, POLICY, "a100", NOON).on(mine) == 1


def test_one_who_waits_for_their_group_to_hold_less_presses_on_the_groups_leases_only():
    mine, head = over_their_limit(groups=("vision",))
    other = lease("o", "n1-1", user="eve", groups=("speech",))
    policy = Policy(flavors=FLAVORS, groups={"vision": Limit(devices=4), "speech": Limit()})
    pressing = pressure(ledger(mine, other, head), STOCK, policy, "a100", NOON)
    assert (pressing.on(mine), pressing.on(other)) == (1, 0)


def test_one_in_two_groups_presses_on_the_one_that_holds_too_much_alone():
    full = lease("l", "n1-0", user="bob", groups=("vision",))
    other = lease("o", "n1-1", user="eve", groups=("speech",))
    policy = Policy(
        flavors=FLAVORS, groups={"speech": Limit(devices=9), "vision": Limit(devices=1)}
    )
    book = ledger(full, other, claim("c", groups=("speech", "vision")))
    pressing = pressure(book, STOCK, policy, "a100", NOON)
    assert (pressing.on(full), pressing.on(other)) == (1, 0)


def test_one_who_waits_for_a_repair_ends_nobodys_lease_by_waiting():
    mine, large = lease("l", "n1-0"), claim("large", user="bob", count=2)
    broken = inventory(device("n1-0"), sick(device("n1-1")))
    assert pressure(ledger(mine, large), broken, POLICY, "a100", NOON).on(mine) == 0
    mended = inventory(device("n1-0"), device("n1-1"))
    assert pressure(ledger(mine, large), mended, POLICY, "a100", NOON).on(mine) == 1


@pytest.mark.parametrize(
    "out_of_service",
    [
        inventory(sick(device("n1-0")), sick(device("n1-1"))),
        inventory(device("n1-0"), n1=Node("n1", schedulable=False, trouble="no answer")),
        inventory(device("t", model="Tesla T4")),
    ],
    ids=["all devices are sick", "the driver is silent", "no device is left"],
)
def test_while_nobody_can_be_granted_anything_nobodys_lease_is_ended_for_it(out_of_service):
    mine, other = lease("l", "n1-0"), claim("c", user="bob")
    assert pressure(ledger(mine, other), out_of_service, POLICY, "a100", NOON).on(mine) == 0


def test_one_who_waits_presses_before_the_hardware_was_ever_read():
    mine, other = lease("l", "n1-0"), claim("c", user="bob")
    assert pressure(ledger(mine, other), inventory(), POLICY, "a100", NOON).on(mine) == 1
