"""User names made of logins: injective, Linux-valid, the same each time."""

import re
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlhub.authenticator.names import UnusableLogin, fold_case, user_name

LINUX_NAME = re.compile(r"[a-z_][a-z0-9_.-]{0,31}", re.ASCII)
READABLE = st.characters(exclude_categories=["Cc", "Cs", "Cn", "Zl", "Zp"])
LOGINS = st.one_of(
    st.text(READABLE, min_size=1, max_size=40),
    st.text(string.ascii_letters + string.digits + "._-@/ ", min_size=1, max_size=40),
    st.from_regex(r"[a-z]{1,3}[-._][a-z2-7]{12}", fullmatch=True),
)

HOSTILE = [
    *("root", "Root", "ROOT", "alice", "Alice", "alice ", " alice", "alice.", ".alice", "-alice"),
    *("..", ".", "../alice", "alice/..", "/alice", "alice/bob", "alice\\bob", "alice%2fbob"),
    *("alice@a.org", "alice@b.org", "alice+a", "alice-a-org", "alice_a_org", "alice.a.org"),
    *("élise", "elise", "e\u0301lise", "ａｌｉｃｅ", "\u212aelvin", "kelvin", "Kelvin", "ẞ", "ss"),
    *("王", "王王", "\u200balice", "alice\u202e", "1", "01", "12345", "user1", "user10"),
    *("a" * 32, "a" * 33, "a" * 34, "a" * 255, "$(id)", "`id`", "alice;id", "alice\N{BEL}"[:5]),
    *("alice--bob", "alice-bob", "alice..bob", "alice-abcdefghijkl", "u-alice", "_", "__"),
]


@given(st.lists(LOGINS, min_size=2, max_size=60, unique=True))
@settings(max_examples=300, deadline=None)
def test_two_logins_never_share_a_user_name(logins: list[str]) -> None:
    assert len({user_name(login) for login in logins}) == len(logins)


@given(LOGINS)
@settings(deadline=None)
def test_every_user_name_is_a_linux_name_and_made_the_same_way_again(login: str) -> None:
    name = user_name(login)
    assert LINUX_NAME.fullmatch(name)
    assert ".." not in name
    assert not name.endswith(".")
    assert user_name(login) == name


@given(LOGINS, LOGINS)
@settings(deadline=None)
def test_nobody_can_choose_a_login_that_is_anothers_user_name(mine: str, other: str) -> None:
    rewritten = user_name(other)
    if rewritten != other and mine == rewritten:
        assert user_name(mine) != rewritten
    assert user_name(rewritten) == rewritten or user_name(rewritten) != user_name(other)


def test_the_hostile_logins_have_a_user_name_each() -> None:
    names = {user_name(login) for login in set(HOSTILE)}
    assert len(names) == len(set(HOSTILE))
    assert all(LINUX_NAME.fullmatch(name) for name in names)


def test_a_hundred_thousand_logins_have_a_user_name_each() -> None:
    logins = {f"{head}{number}{tail}" for number in range(25_000) for head, tail in EDGES}
    assert len({user_name(login) for login in logins}) == len(logins) == 100_000


EDGES = [("user", ""), ("User", ""), ("user", "@a.org"), ("", "ä")]


@pytest.mark.parametrize("login", ["alice", "john.smith", "a", "_svc", "x-1", "user10", "a" * 32])
def test_a_plain_login_is_its_own_user_name(login: str) -> None:
    assert user_name(login) == login


@pytest.mark.parametrize(
    ("login", "problem"),
    [
        pytest.param("", "no login", id="empty"),
        pytest.param(None, "no login", id="none"),
        pytest.param(17, "no login", id="a number"),
        pytest.param("a\r\nb", "control characters", id="a line break"),
        pytest.param("a\0", "control characters", id="a null"),
        pytest.param("a\u2028b", "control characters", id="a line separator"),
        pytest.param("a\ud800", "control characters", id="half a character"),
        pytest.param("a" * 256, "longer than 255", id="too long"),
        pytest.param("a" * 2**20, "longer than 255", id="a megabyte"),
    ],
)
def test_what_is_no_login_is_refused(login: object, problem: str) -> None:
    with pytest.raises(UnusableLogin, match=problem):
        user_name(login)


def test_the_kelvin_sign_is_no_k_in_any_case() -> None:
    assert fold_case("ALICE") == "alice"
    assert fold_case("\u212aelvin") == "\u212aelvin"
