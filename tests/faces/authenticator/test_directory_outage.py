"""A directory that is away takes nobody's groups or stay for as long as silence is borne."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from traitlets.config import Config

from mlhub.authenticator import os_accounts
from mlhub.authenticator.doorkeeper import Door, Doorkeeper
from mlhub.authenticator.handlers import RefusedError
from mlhub.authenticator.identity_book import IdentityBook
from mlhub.authenticator.multi import METHOD_KEY, MultiAuthenticator
from mlhub.authenticator.os_accounts import Account
from mlhub.authenticator.refreshes import Refreshes
from mlhub.authenticator.rules import HouseRules
from mlhub.authenticator.visitors import Visitor
from mlhub.provider_settings import AccessSettings
from tests.faces.authenticator.test_refreshes import Ticks

ALICE = Visitor("idp", "https://idp", "1", "alice", frozenset({"ml"}))
DOOR = Door(AccessSettings(allow_all=True), names={"alice": "alice"})


class Provider:
    """A provider that always knows alice."""

    method = "idp"

    async def look_again(self, _user: Any, _handler: Any) -> Visitor:
        return ALICE


class Member:
    """The hub's user, with the groups that the hub has given them."""

    name = "alice"
    groups = ("ml",)

    async def get_auth_state(self) -> dict[str, str]:
        return {METHOD_KEY: "idp"}

    def sync_groups(self, groups: list[str]) -> None:
        self.groups = tuple(groups)


@pytest.mark.parametrize("os_users", ["mapped", "existing", "create"])
def test_an_account_that_is_not_found_is_borne_like_silence_and_another_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, os_users: str
) -> None:
    accounts = {"alice": Account("alice", 4001)}
    monkeypatch.setattr(os_accounts, "find", accounts.get)
    book = IdentityBook(f"sqlite:///{tmp_path / 'identities.sqlite'}")
    keeper = Doorkeeper(HouseRules(as_root=True, os_users=os_users), book)
    ticks, member = Ticks(), Member()
    face = MultiAuthenticator(
        methods={"idp": Provider()},
        doors={"idp": DOOR},
        doorkeeper=keeper,
        refreshes=Refreshes(60, ticks),
        manage_groups=True,
        config=Config(),
    )

    async def refresh(later: float) -> Any:
        ticks.now += later
        return await face.refresh_user(member)

    async def story() -> None:
        await keeper.admit(DOOR, ALICE)
        assert (await refresh(0))["groups"] == ["ml"]
        del accounts["alice"]
        assert [await refresh(10), await refresh(40)] == [True, True]
        accounts["alice"] = Account("alice", 4001)
        assert (await refresh(10))["groups"] == ["ml"]
        del accounts["alice"]
        assert [await refresh(10), await refresh(59)] == [True, True]
        assert await refresh(2) is False
        assert member.groups == ("ml",)
        accounts["alice"] = Account("alice", 4002)
        with pytest.raises(RefusedError, match="deleted and made anew"):
            await refresh(1)
        assert member.groups == ()

    asyncio.run(story())
    book.close()
