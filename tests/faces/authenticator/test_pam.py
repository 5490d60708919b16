"""Signing in as an account of this machine, by the real PAM; accounts that mlhub makes."""

import pwd
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from mlhub.authentication_settings import PamSettings
from mlhub.authenticator import os_accounts
from mlhub.authenticator.os_accounts import AccountUnseen
from mlhub.authenticator.pam import PamMethod
from mlhub.authenticator.rate_limit import WrongTries
from mlhub.authenticator.rules import HouseRules
from mlhub.authenticator.visitors import SignInRefused
from tests.people import Person, account_tool, os_user

pytestmark = pytest.mark.root

REQUEST = SimpleNamespace(request=SimpleNamespace(remote_ip="127.0.0.1", headers={}))


@pytest.fixture
def person() -> Iterator[Person]:
    with os_user() as person:
        yield person


def form(person: Person, **other: str) -> dict[str, str]:
    return {"username": person.name, "password": person.password, **other}


@pytest.fixture
def method() -> PamMethod:
    house = HouseRules(as_root=True)
    settings = PamSettings(allow_all=True)
    return PamMethod(settings=settings, house=house, wrong_tries=WrongTries(2))


async def test_an_account_signs_in_with_its_password(method: PamMethod, person: Person) -> None:
    visitor = await method.identify(REQUEST, form(person))
    assert visitor.login == person.name
    assert visitor.subject == f"{person.name}:{person.uid}"
    assert person.name in visitor.groups


async def test_who_inherits_the_number_of_a_deleted_account_is_somebody_new(
    method: PamMethod,
) -> None:
    with os_user("carol") as carol:
        before = await method.identify(REQUEST, form(carol))
    with os_user("ada") as ada:
        after = await method.identify(REQUEST, form(ada))
    assert ada.uid == carol.uid, "the system gives a free number to the next account"
    assert after.subject != before.subject


async def test_a_wrong_password_is_refused_and_soon_waits(
    method: PamMethod, person: Person
) -> None:
    for _try in range(2):
        with pytest.raises(SignInRefused, match="Name or password is wrong"):
            await method.identify(REQUEST, form(person, password="wrong"))
    with pytest.raises(SignInRefused, match="Too many wrong passwords for this name"):
        await method.identify(REQUEST, form(person))


NAMES = ["", "no-such-account-here", "../root", "a\r\nb", "a\0b", "x" * 100_000, "root\0"]


@pytest.mark.parametrize("name", NAMES, ids=[f"{name[:12]!r}" for name in NAMES])
async def test_no_other_name_gets_anywhere(method: PamMethod, name: str) -> None:
    with pytest.raises(SignInRefused):
        await method.identify(REQUEST, {"username": name, "password": "x"})


async def test_an_account_of_the_system_is_refused_with_its_password(
    method: PamMethod, person: Person
) -> None:
    account_tool("usermod", "--uid", "999", "--non-unique", person.name)
    try:
        with pytest.raises(SignInRefused, match="account of the system"):
            await method.identify(REQUEST, form(person))
        method.house = HouseRules(as_root=True, system_accounts=frozenset({person.name}))
        assert (await method.identify(REQUEST, form(person))).login == person.name
    finally:
        account_tool("usermod", "--uid", str(person.uid), person.name)


async def test_an_account_that_is_closed_or_gone_may_not_stay(
    method: PamMethod, person: Person
) -> None:
    assert (await method.look_again(person, None)).login == person.name
    account_tool("usermod", "--expiredate", "1", person.name)
    with pytest.raises(SignInRefused, match="is closed"):
        await method.look_again(person, None)
    gone = SimpleNamespace(name="no-such-account-here")
    with pytest.raises(AccountUnseen, match="finds no account 'no-such-account-here'"):
        await method.look_again(gone, None)


async def test_the_hub_goes_on_while_accounts_are_looked_up(
    method: PamMethod, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    find, seen = os_accounts.find, []

    def noted(name: str) -> object:
        seen.append(threading.current_thread() is threading.main_thread())
        return find(name)

    monkeypatch.setattr(os_accounts, "find", noted)
    await method.look_again(person, None)
    await method.identify(REQUEST, form(person))
    assert seen
    assert not any(seen)


async def test_a_group_that_was_taken_away_is_gone_at_the_next_look(
    method: PamMethod, person: Person
) -> None:
    group = f"{person.name}-g"
    account_tool("groupadd", group)
    try:
        account_tool("gpasswd", "-a", person.name, group)
        assert group in (await method.look_again(person, None)).groups
        account_tool("gpasswd", "-d", person.name, group)
        assert group not in (await method.look_again(person, None)).groups
    finally:
        account_tool("groupdel", group)


async def test_a_group_of_the_system_counts_where_a_rule_names_it(
    method: PamMethod, person: Person
) -> None:
    account_tool("gpasswd", "-a", person.name, "sudo")
    assert "sudo" not in (await method.look_again(person, None)).groups
    method.settings = PamSettings(allow_all=True, admin_groups=frozenset({"sudo"}))
    assert "sudo" in (await method.look_again(person, None)).groups


def test_an_account_is_made_with_a_home_of_its_own_and_no_password() -> None:
    name = f"newcomer-{secrets.token_hex(2)}"
    try:
        account = os_accounts.create(name)
        home = Path(pwd.getpwnam(name).pw_dir)
        assert account.uid >= 1000
        assert home.stat().st_mode & 0o777 == 0o700
        assert home.stat().st_uid == account.uid
        shadow = Path("/etc/shadow").read_text().split(f"{name}:")[1]
        assert shadow.startswith("!")
    finally:
        account_tool("userdel", "--force", "--remove", name)


def test_an_account_that_cannot_be_made_says_why() -> None:
    with pytest.raises(OSError, match="useradd could not make the account"):
        os_accounts.create("-not-a-name")
