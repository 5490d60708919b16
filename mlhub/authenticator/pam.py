"""The accounts of this machine, by PAM; for a hub that runs as root."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pamela
from jupyterhub.auth import PAMAuthenticator
from traitlets import Any as AnyTrait
from traitlets import Instance, Unicode, default

from mlhub.authenticator import os_accounts
from mlhub.authenticator.names import LONGEST_LOGIN, UnusableLogin, user_name
from mlhub.authenticator.rate_limit import WrongTries
from mlhub.authenticator.rules import HouseRules
from mlhub.authenticator.visitors import SignInRefused, Visitor

NAMESPACE = "os"


class PamMethod(PAMAuthenticator):
    """Sign-in with the password of an OS account; its name and number are the stable id.

    The number alone is none: the system gives that of a deleted account to the next one. Neither
    is the name: an account that was made anew under it has another number, and is refused.
    """

    method = Unicode("pam")
    settings = AnyTrait(help="Its section of mlhub.yaml.")
    house = Instance(HouseRules)
    wrong_tries = Instance(WrongTries)
    hint = ""

    @default("service")
    def _service_of_settings(self) -> str:
        return self.settings.service

    @default("wrong_tries")
    def _limit_of_settings(self) -> WrongTries:
        return WrongTries(self.settings.wrong_tries_per_minute)

    async def identify(self, handler: Any, data: Mapping[str, str]) -> Visitor:
        """Checks name and password.

        Raises:
            SignInRefused: they are wrong, or the account is none that may sign in.
        """
        name, password = data.get("username", ""), data.get("password", "")
        if not name or len(name) > LONGEST_LOGIN or not name.isprintable() or "\0" in password:
            raise SignInRefused("No account has such a name or password.")
        self._refuse_too_many(name)
        if not await self.authenticate(handler, {"username": name, "password": password}):
            self.wrong_tries.wrong(name)
            raise SignInRefused("Name or password is wrong.")
        self.wrong_tries.right(name)
        return await asyncio.to_thread(self._visitor, name)

    async def look_again(self, user: Any, handler: Any) -> Visitor | None:
        """Finds the account as it is now, and whether it may still be used.

        Raises:
            SignInRefused: it may not.
            AccountUnseen: it is not found.
        """
        return await asyncio.to_thread(self._still_there, user.name)

    def _still_there(self, name: str) -> Visitor:
        """Looks where accounts are kept, which may be on the network: a thread waits for it."""
        if os_accounts.find(name) is None:
            raise os_accounts.AccountUnseen(name)
        self._refuse_closed(name)
        return self._visitor(name)

    def _visitor(self, name: str) -> Visitor:
        account = os_accounts.find(name)
        if account is None or not _is_user_name(account.name):
            raise SignInRefused(
                f"The account name '{name}' cannot be a user name here: those are of lower case "
                "letters, digits, '-', '_' and inner dots."
            )
        if problem := os_accounts.system_refusal(self.house, account):
            raise SignInRefused(problem)
        return Visitor(
            method=self.method,
            namespace=NAMESPACE,
            subject=f"{account.name}:{account.uid}",
            login=account.name,
            groups=os_accounts.groups_of(account.name, self.settings.named_groups),
        )

    def _refuse_closed(self, name: str) -> None:
        try:
            pamela.check_account(name, service=self.service, encoding=self.encoding)
        except pamela.PAMError as error:
            raise SignInRefused(f"The account '{name}' is closed: {error}") from error

    def _refuse_too_many(self, name: str) -> None:
        if wait := self.wrong_tries.wait_seconds(name):
            raise SignInRefused(
                f"Too many wrong passwords for this name. Try again in {wait} seconds.",
                code=429,
                retry_after=wait,
            )


def _is_user_name(name: str) -> bool:
    try:
        return user_name(name) == name
    except UnusableLogin:
        return False
