"""What comes from a provider is checked and capped before anything else reads it."""

import pytest

from mlhub.authenticator.visitors import (
    SignInRefused,
    Visitor,
    claim,
    group_names,
    printable,
    subject_text,
)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        pytest.param(4711, "4711", id="a number"),
        pytest.param("4711", "4711", id="digits"),
        pytest.param("00u1a2b3", "00u1a2b3", id="text"),
    ],
)
def test_a_stable_id_is_text_or_a_number(given: object, text: str) -> None:
    assert subject_text(given) == text


@pytest.mark.parametrize("given", [None, "", "  ", True, 1.5, ["x"], "a\nb", "x" * 256])
def test_what_could_identify_nobody_is_refused(given: object) -> None:
    with pytest.raises(SignInRefused):
        subject_text(given)


@pytest.mark.parametrize(
    ("given", "names"),
    [
        pytest.param(["ml", "ops"], {"x/ml", "x/ops"}, id="a list"),
        pytest.param("admins", {"x/admins"}, id="one text is one group, not its letters"),
        pytest.param(["ml", 7, None, "", " ", "a\nb", "g" * 300], {"x/ml"}, id="only usable ones"),
        pytest.param({"ml": True}, set(), id="a mapping"),
        pytest.param(None, set(), id="nothing"),
        pytest.param(12, set(), id="a number"),
        pytest.param(b"ml", set(), id="bytes"),
    ],
)
def test_groups_are_read_from_a_list_of_names(given: object, names: set[str]) -> None:
    assert group_names(given, prefix="x/") == names


def test_a_thousand_groups_are_enough() -> None:
    assert len(group_names([f"g{number}" for number in range(5_000)])) == 1_000


def test_a_claim_is_found_by_name_before_it_is_taken_for_a_path() -> None:
    claims = {"https://a.org/groups": ["x"], "realm_access": {"roles": ["y"]}, "a.b": 1}
    assert claim(claims, "https://a.org/groups") == ["x"]
    assert claim(claims, "realm_access.roles") == ["y"]
    assert claim(claims, "a.b") == 1
    assert claim(claims, "realm_access.roles.z") is None
    assert claim(claims, "missing") is None


def test_a_log_line_holds_no_line_break_and_an_end() -> None:
    assert printable("a\r\nb\u2028c\x1b[31m") == "a??b?c?[31m"
    assert printable("x" * 1_000_000, 10) == "xxxxxxxxxx...(1000000 characters)"


def test_a_visitors_tokens_are_not_printed() -> None:
    visitor = Visitor("m", "n", "1", "alice", tokens={"access_token": "hidden-thing"})
    assert "hidden-thing" not in repr(visitor)
