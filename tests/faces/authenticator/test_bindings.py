"""Who has which user name: the decision, as a table."""

import pytest

from mlhub.authenticator.bindings import Binding, Clash, Ground, Identity, decide

GITHUB, COMPANY, OS = "https://github.com", "https://idp.acme.org", "os"
ALICE = Identity(GITHUB, "1")
NONE = frozenset[str]()


@pytest.mark.parametrize(
    ("bound", "asked", "ground", "allies", "expected"),
    [
        pytest.param([], "alice", Ground.FIRST_SIGHT, NONE, "alice", id="a free name"),
        pytest.param(
            [Binding(ALICE, "alice")], "alice2", Ground.FIRST_SIGHT, NONE, "alice", id="renamed"
        ),
        pytest.param(
            [Binding(ALICE, "alice")], "a", Ground.NAMED, NONE, "alice", id="named after binding"
        ),
        pytest.param([Binding(ALICE, "old")], "new", Ground.PINNED, NONE, "new", id="a pin moves"),
        pytest.param(
            [Binding(Identity(GITHUB, "2"), "alice")],
            "alice",
            Ground.FIRST_SIGHT,
            frozenset({GITHUB}),
            None,
            id="recycled, even among allies",
        ),
        pytest.param(
            [Binding(Identity(GITHUB, "2"), "alice")],
            "alice",
            Ground.NAMED,
            NONE,
            None,
            id="recycled, and the login is in the settings",
        ),
        pytest.param(
            [Binding(Identity(COMPANY, "9"), "alice")],
            "alice",
            Ground.FIRST_SIGHT,
            NONE,
            None,
            id="another provider's alice",
        ),
        pytest.param(
            [Binding(Identity(COMPANY, "9"), "alice")],
            "alice",
            Ground.NAMED,
            NONE,
            "alice",
            id="the settings link two providers by login",
        ),
        pytest.param(
            [Binding(Identity(GITHUB, "2"), "alice")],
            "alice",
            Ground.PINNED,
            NONE,
            "alice",
            id="the settings link two accounts by id",
        ),
        pytest.param(
            [Binding(Identity(OS, "1001"), "alice")],
            "alice",
            Ground.FIRST_SIGHT,
            frozenset({OS}),
            "alice",
            id="an ally's",
        ),
        pytest.param(
            [Binding(Identity(OS, "1001"), "alice"), Binding(Identity(COMPANY, "9"), "alice")],
            "alice",
            Ground.FIRST_SIGHT,
            frozenset({OS}),
            None,
            id="an ally's and a stranger's",
        ),
    ],
)
def test_a_name_goes_to_whose_it_is(bound, asked, ground, allies, expected) -> None:
    decided = decide(ALICE, asked, ground=ground, bindings=bound, allies=allies)
    assert (decided.user if isinstance(decided, Binding) else None) == expected


def test_who_joins_a_user_shares_the_number_of_its_account() -> None:
    others = [Binding(Identity(OS, "1001"), "alice", uid=1001)]
    joined = decide(ALICE, "alice", ground=Ground.PINNED, bindings=others)
    assert joined == Binding(ALICE, "alice", uid=1001)


def test_a_clash_tells_the_visitors_id_and_not_the_holders() -> None:
    said = Clash("alice", Identity(GITHUB, "holder-id")).text(Identity(GITHUB, "visitor-id"))
    assert "visitor-id" in said
    assert "holder-id" not in said
