"""Who may come in, and as what: the tables of a method's rules."""

from typing import Any

import pytest

from mlhub.authenticator.rules import (
    HouseRules,
    admin_status,
    by_user_name,
    person_refusal,
    refusal,
)
from mlhub.authenticator.visitors import Visitor
from mlhub.provider_settings import AccessSettings

ALICE = Visitor("company", "https://idp", "1", "alice", frozenset({"ml"}))


def access(**rules: Any) -> AccessSettings:
    return AccessSettings.model_validate(rules)


@pytest.mark.parametrize(
    ("rules", "allowed"),
    [
        pytest.param({}, False, id="nobody unless said"),
        pytest.param({"allow_all": True}, True, id="everybody"),
        pytest.param({"allowed_users": ["alice"]}, True, id="by name"),
        pytest.param({"allowed_users": ["bob"]}, False, id="another name"),
        pytest.param({"allowed_groups": ["ml"]}, True, id="by group"),
        pytest.param({"allowed_groups": ["ops"]}, False, id="another group"),
        pytest.param({"admin_users": ["alice"]}, True, id="administrators come in"),
        pytest.param({"admin_groups": ["ml"]}, True, id="groups of administrators come in"),
        pytest.param({"allow_all": True, "blocked_users": ["alice"]}, False, id="blocked"),
        pytest.param(
            {"allowed_groups": ["ml"], "blocked_users": ["alice"]}, False, id="blocked in a group"
        ),
    ],
)
def test_rules_let_in_whom_they_name(rules: dict[str, Any], allowed: bool) -> None:
    assert (refusal(access(**rules), ALICE, "alice") is None) == allowed


@pytest.mark.parametrize(
    ("rules", "status"),
    [
        pytest.param({"allow_all": True}, None, id="no rule: the hub's own pages say"),
        pytest.param({"admin_users": ["alice"]}, True, id="by name"),
        pytest.param({"admin_users": ["bob"]}, False, id="another is"),
        pytest.param({"admin_groups": ["ml"]}, True, id="by group"),
        pytest.param({"admin_groups": ["ops"]}, False, id="another group is"),
    ],
)
def test_administrators_are_whom_the_rules_name(rules: dict[str, Any], status: bool | None) -> None:
    assert admin_status(access(**rules), ALICE, "alice") is status


def test_rules_may_name_people_by_login_or_by_user_name() -> None:
    rules = by_user_name(access(allowed_users=["Alice@A.org"]), str.lower)
    assert rules.allowed_users == {"Alice@A.org", "alice@a.org"}


@pytest.mark.parametrize(
    ("house", "name", "refused"),
    [
        pytest.param(HouseRules(person="alice"), "alice", False, id="the one person"),
        pytest.param(HouseRules(person="alice"), "bob", True, id="anybody else without root"),
        pytest.param(HouseRules(person="alice", as_root=True), "bob", False, id="with root"),
        pytest.param(HouseRules(), "bob", False, id="no person is named: a cluster"),
    ],
)
def test_without_root_there_is_one_person(house: HouseRules, name: str, refused: bool) -> None:
    said = person_refusal(house, name)
    assert (said is not None) == refused
    if said:
        assert "runs without root, as 'alice': only 'alice' can sign in here" in said
