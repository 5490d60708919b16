"""From a visitor to a user: the whole way, on a real identity book."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlhub.adapters.sql.database import POSTGRESQL_OPTIONS
from mlhub.authenticator.bindings import Binding, Identity
from mlhub.authenticator.doorkeeper import Admitted, Door, Doorkeeper, SignInStale
from mlhub.authenticator.identity_book import IdentityBook
from mlhub.authenticator.os_accounts import AccountUnseen
from mlhub.authenticator.rules import HouseRules
from mlhub.authenticator.visitors import SignInRefused, Visitor
from mlhub.provider_settings import AccessSettings
from tests.people import Person, account_tool, os_user

GITHUB = "https://github.com"
EVERYBODY = Door(AccessSettings(allow_all=True))
ONLY_ML = Door(AccessSettings(allowed_groups=frozenset({"ml"})))


@pytest.fixture
def book(tmp_path: Path) -> Iterator[IdentityBook]:
    book = IdentityBook(f"sqlite:///{tmp_path / 'identities.sqlite'}")
    yield book
    book.close()


@pytest.fixture
def keeper(book: IdentityBook) -> Doorkeeper:
    return Doorkeeper(HouseRules(), book)


def visitor(subject: str, login: str, *groups: str, namespace: str = GITHUB) -> Visitor:
    return Visitor("m", namespace, subject, login, frozenset(groups))


async def test_the_first_sign_in_binds_and_the_next_keeps(keeper: Doorkeeper) -> None:
    assert (await keeper.admit(EVERYBODY, visitor("1", "alice"))).name == "alice"
    assert (await keeper.admit(EVERYBODY, visitor("1", "alice-smith"))).name == "alice"


async def test_a_recycled_login_is_refused(keeper: Doorkeeper) -> None:
    await keeper.admit(EVERYBODY, visitor("1", "alice"))
    with pytest.raises(SignInRefused, match="'alice' belongs to another account"):
        await keeper.admit(EVERYBODY, visitor("2", "alice"))


async def test_the_same_id_at_another_provider_is_another_person(keeper: Doorkeeper) -> None:
    await keeper.admit(EVERYBODY, visitor("1", "alice"))
    with pytest.raises(SignInRefused, match="another way to sign in"):
        await keeper.admit(EVERYBODY, visitor("1", "alice", namespace="https://idp"))


async def test_who_is_refused_is_bound_to_no_name(keeper: Doorkeeper, book: IdentityBook) -> None:
    with pytest.raises(SignInRefused):
        await keeper.admit(ONLY_ML, visitor("1", "alice", "ops"))
    assert book.all() == []


async def test_two_who_come_at_once_with_one_login_are_not_both_let_in(keeper: Doorkeeper) -> None:
    both = [keeper.admit(EVERYBODY, visitor(subject, "alice")) for subject in "12"]
    answers = await asyncio.gather(*both, return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == ["Admitted", "SignInRefused"]


async def test_an_account_in_the_settings_has_the_name_that_is_written_there(
    keeper: Doorkeeper,
) -> None:
    door = Door(EVERYBODY.access, accounts={"7": "asmith"})
    assert (await keeper.admit(door, visitor("7", "whatever"))).name == "asmith"
    assert (await keeper.admit(door, visitor("8", "alice"))).name == "alice"


async def test_a_login_in_the_settings_has_the_name_that_is_written_there(
    keeper: Doorkeeper,
) -> None:
    door = Door(EVERYBODY.access, names={"alice-gh": "alice"})
    assert (await keeper.admit(door, visitor("1", "alice-gh"))).name == "alice"
    with pytest.raises(SignInRefused):
        await keeper.admit(door, visitor("2", "alice-gh"))


async def test_groups_and_rights_come_from_this_sign_in(keeper: Doorkeeper) -> None:
    door = Door(AccessSettings(allow_all=True, admin_groups=frozenset({"ops"})))
    assert await keeper.admit(door, visitor("1", "alice", "ops", "ml")) == Admitted(
        "alice", frozenset({"ops", "ml"}), True
    )
    assert (await keeper.admit(door, visitor("1", "alice", "ml"))).admin is False


async def test_a_person_who_may_not_stay_is_refused_at_the_next_look(keeper: Doorkeeper) -> None:
    await keeper.admit(ONLY_ML, visitor("1", "alice", "ml"))
    assert (await keeper.recheck(ONLY_ML, visitor("1", "alice", "ml"), "alice")).name == "alice"
    with pytest.raises(SignInRefused):
        await keeper.recheck(ONLY_ML, visitor("1", "alice"), "alice")


@pytest.mark.parametrize("subject", ["1", "9"], ids=["released", "somebody else"])
async def test_who_is_not_the_user_any_more_signs_in_again(
    keeper: Doorkeeper, book: IdentityBook, subject: str
) -> None:
    await keeper.admit(EVERYBODY, visitor("1", "alice"))
    if subject == "1":
        book.release("alice")
    with pytest.raises(SignInStale):
        await keeper.recheck(EVERYBODY, visitor(subject, "alice"), "alice")


async def test_without_root_only_the_person_comes_in(book: IdentityBook) -> None:
    keeper = Doorkeeper(HouseRules(person="alice"), book)
    assert (await keeper.admit(EVERYBODY, visitor("1", "alice"))).name == "alice"
    with pytest.raises(SignInRefused, match="only 'alice' can sign in here"):
        await keeper.admit(EVERYBODY, visitor("2", "bob"))
    assert book.of(Identity(GITHUB, "2")) is None


class Accounts:
    """The accounts of a machine, in memory: the edge to the operating system."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **uids: int) -> None:
        from mlhub.authenticator import os_accounts

        self.uids = uids
        self.made: list[str] = []
        monkeypatch.setattr(os_accounts, "find", self.find)
        monkeypatch.setattr(os_accounts, "create", self.create)

    def find(self, name: str) -> Any:
        from mlhub.authenticator.os_accounts import Account

        return Account(name, self.uids[name]) if name in self.uids else None

    def create(self, name: str) -> Any:
        self.made.append(name)
        self.uids[name] = 2000 + len(self.made)
        return self.find(name)


def rooted(book: IdentityBook, os_users: str, *system: str) -> Doorkeeper:
    house = HouseRules(as_root=True, os_users=os_users, system_accounts=frozenset(system))
    return Doorkeeper(house, book)


ACCOUNT_CASES = {
    "mapped: an account that nobody linked": ("mapped", {}, "alice", "nothing says that it is"),
    "mapped: linked by id": ("mapped", {"accounts": {"1": "alice"}}, "x", None),
    "mapped: linked by login": ("mapped", {"names": {"gh": "alice"}}, "gh", None),
    "mapped: no account": ("mapped", {}, "nobody-here", "does not exist"),
    "existing: the same name": ("existing", {}, "alice", None),
    "existing: no account": ("existing", {}, "nobody-here", "does not exist"),
    "create: a new one": ("create", {}, "newcomer", None),
    "create: an account that was there": ("create", {}, "alice", "nothing says that it is"),
    "root": ("existing", {}, "root", "account of the system (uid 0)"),
    "root, even linked": ("mapped", {"accounts": {"1": "root"}}, "x", "account of the system"),
    "a daemon": ("existing", {}, "daemon", "account of the system (uid 2)"),
    "nobody": ("existing", {}, "nobody", "account of the system (uid 65534)"),
    "a service account that is allowed": ("existing", {}, "www-data", None),
}


@pytest.mark.parametrize(
    ("os_users", "links", "login", "problem"), ACCOUNT_CASES.values(), ids=ACCOUNT_CASES.keys()
)
async def test_with_root_a_login_gets_an_account_only_by_right(
    book: IdentityBook,
    monkeypatch: pytest.MonkeyPatch,
    os_users: str,
    links: dict[str, Any],
    login: str,
    problem: str | None,
) -> None:
    uids = {"alice": 1001, "root": 0, "daemon": 2, "nobody": 65_534, "www-data": 33}
    accounts = Accounts(monkeypatch, **uids)
    keeper = rooted(book, os_users, "www-data")
    door = Door(EVERYBODY.access, **links)
    if problem:
        with pytest.raises(SignInRefused) as refused:
            await keeper.admit(door, visitor("1", login))
        assert problem in refused.value.reason
        assert accounts.made == []
    else:
        admitted = await keeper.admit(door, visitor("1", login))
        assert accounts.find(admitted.name) is not None


async def test_two_clicks_of_a_newcomer_make_one_account(
    book: IdentityBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts = Accounts(monkeypatch)
    keeper = rooted(book, "create")
    clicks = [keeper.admit(EVERYBODY, visitor("1", "alice")) for _click in range(4)]
    assert {admitted.name for admitted in await asyncio.gather(*clicks)} == {"alice"}
    assert accounts.made == ["alice"]
    assert book.of_user("alice") == [Binding(Identity(GITHUB, "1"), "alice", uid=2001)]


async def test_an_account_that_cannot_be_made_asks_to_come_later(
    book: IdentityBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts = Accounts(monkeypatch)

    def locked(name: str) -> None:
        raise OSError(f"useradd could not make the account '{name}': cannot lock /etc/passwd")

    monkeypatch.setattr("mlhub.authenticator.os_accounts.create", locked)
    keeper = rooted(book, "create")
    with pytest.raises(SignInRefused, match="cannot lock /etc/passwd") as refused:
        await keeper.admit(EVERYBODY, visitor("1", "alice"))
    assert refused.value.code == 503
    monkeypatch.setattr("mlhub.authenticator.os_accounts.create", accounts.create)
    assert (await keeper.admit(EVERYBODY, visitor("1", "alice"))).name == "alice"


async def test_an_account_that_was_made_anew_is_not_the_same(
    book: IdentityBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts = Accounts(monkeypatch, alice=1001)
    keeper = rooted(book, "existing")
    await keeper.admit(EVERYBODY, visitor("1", "alice"))
    accounts.uids["alice"] = 1002
    with pytest.raises(SignInRefused, match="deleted and made anew"):
        await keeper.admit(EVERYBODY, visitor("1", "alice"))


async def without_account(keeper: Doorkeeper, door: Door, person: Person) -> Visitor:
    """Somebody who is signed in, and whose OS account was deleted since."""
    who = visitor("1", person.name)
    await keeper.admit(door, who)
    assert (await keeper.recheck(door, who, person.name)).name == person.name
    account_tool("userdel", "--remove", person.name)
    with pytest.raises(AccountUnseen, match=f"finds no account '{person.name}'"):
        await keeper.recheck(door, who, person.name)
    return who


@pytest.mark.root
async def test_who_is_signed_in_never_starts_as_who_got_their_account_after_them(
    book: IdentityBook,
) -> None:
    keeper = rooted(book, "existing")
    with os_user() as person:
        alice = await without_account(keeper, EVERYBODY, person)
        account_tool("useradd", "--create-home", "--uid", str(person.uid + 1000), person.name)
        with pytest.raises(SignInRefused, match="deleted and made anew"):
            await keeper.recheck(EVERYBODY, alice, person.name)


@pytest.mark.root
async def test_where_accounts_are_made_who_lost_theirs_signs_in_again_to_get_one(
    book: IdentityBook,
) -> None:
    keeper = rooted(book, "create")
    with os_user() as person:
        door = Door(EVERYBODY.access, names={person.name: person.name})
        alice = await without_account(keeper, door, person)
        assert (await keeper.admit(door, alice)).name == person.name
        assert (await keeper.recheck(door, alice, person.name)).name == person.name


async def test_who_signed_in_before_the_hub_had_root_signs_in_again(
    book: IdentityBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    Accounts(monkeypatch, alice=1001)
    await Doorkeeper(HouseRules(), book).admit(EVERYBODY, visitor("1", "alice"))
    with pytest.raises(SignInStale):
        await rooted(book, "mapped").recheck(EVERYBODY, visitor("1", "alice"), "alice")


async def test_a_book_that_cannot_be_read_asks_to_come_later(
    keeper: Doorkeeper, book: IdentityBook, tmp_path: Path
) -> None:
    await keeper.admit(EVERYBODY, visitor("1", "alice"))
    await book.ask(book._engine.dispose)
    (tmp_path / "identities.sqlite").unlink()
    (tmp_path / "identities.sqlite").mkdir()
    with pytest.raises(SignInRefused, match="Try again in a minute") as refused:
        await keeper.admit(EVERYBODY, visitor("1", "alice"))
    assert (refused.value.code, refused.value.retry_after) == (503, 60)


@pytest.fixture
def silent_database() -> Iterator[str]:
    """A PostgreSQL that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"postgresql+psycopg://mlhub@127.0.0.1:{server.getsockname()[1]}/mlhub"


async def test_while_the_database_is_silent_the_hub_goes_on_and_tells_who_comes(
    silent_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(POSTGRESQL_OPTIONS, "connect_timeout", 2)
    book = IdentityBook(silent_database)
    keeper = Doorkeeper(HouseRules(), book)
    coming = asyncio.ensure_future(keeper.admit(EVERYBODY, visitor("1", "alice")))
    turns = 0
    while not coming.done():
        await asyncio.wait({coming}, timeout=0.05)
        turns += 1
    with pytest.raises(SignInRefused, match="Try again in a minute"):
        await coming
    assert turns > 10
    book.close()
