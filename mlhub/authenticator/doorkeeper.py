"""The steps from a visitor to a user of this hub: name, rules, identity, OS account."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from mlhub.authenticator import os_accounts, rules
from mlhub.authenticator.bindings import Binding, Clash, Ground, Identity
from mlhub.authenticator.identity_book import IdentitiesUnavailable, IdentityBook
from mlhub.authenticator.names import UnusableLogin, user_name
from mlhub.authenticator.rules import HouseRules
from mlhub.authenticator.visitors import SignInRefused, Visitor
from mlhub.provider_settings import AccessSettings


@dataclass(frozen=True, slots=True)
class Door:
    """What holds for one method.

    Attributes:
        access: who may come in by it.
        accounts: user name by stable id, from the settings.
        names: user name by login, from the settings.
        allies: namespaces that mean the same person by the same name.
        own_ground: why a name is claimed where neither `accounts` nor `names` has it.
    """

    access: AccessSettings
    accounts: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    allies: frozenset[str] = frozenset()
    own_ground: Ground = Ground.FIRST_SIGHT

    def claim(self, visitor: Visitor) -> tuple[str, Ground]:
        """Says which user name a visitor asks for, and why.

        Raises:
            SignInRefused: no user name can be made of the login.
        """
        if visitor.subject in self.accounts:
            return self.accounts[visitor.subject], Ground.PINNED
        if visitor.login in self.names:
            return self.names[visitor.login], Ground.NAMED
        try:
            return user_name(visitor.login), self.own_ground
        except UnusableLogin as problem:
            raise SignInRefused(f"This login cannot be used here: {problem}.") from problem


@dataclass(frozen=True, slots=True)
class Admitted:
    """A visitor who may come in.

    Attributes:
        name: the user name here.
        groups: the groups that the method gives.
        admin: whether an administrator; None: no rule says.
    """

    name: str
    groups: frozenset[str]
    admin: bool | None


class SignInStale(Exception):
    """What was known of somebody holds no longer; they must sign in again."""


class Doorkeeper:
    """Applies the rules of the house and of a door.

    Attributes:
        book: the identity book, its memory.
    """

    def __init__(self, house: HouseRules, book: IdentityBook) -> None:
        self._house = house
        self.book = book
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def admit(self, door: Door, visitor: Visitor) -> Admitted:
        """Lets a visitor in, and binds them to their user name if this is their first time.

        Raises:
            SignInRefused: they may not, with the reason.
        """
        claimed, ground = door.claim(visitor)
        try:
            name = await self._known_name(visitor, claimed, ground)
            self._judge(door, visitor, name)
            async with self._locks[name]:
                await self._settle(door, visitor, name, ground)
        except IdentitiesUnavailable as problem:
            raise SignInRefused(
                "Who has which user name cannot be looked up just now. Try again in a minute.",
                code=503,
                retry_after=60,
            ) from problem
        return _admitted(door, visitor, name)

    async def recheck(self, door: Door, visitor: Visitor, name: str) -> Admitted:
        """Checks again that somebody who is signed in may stay.

        Raises:
            SignInStale: they are no longer the person of this user name.
            SignInRefused: they may not stay.
            AccountUnseen: their OS account is not found now.
            IdentitiesUnavailable: the book cannot be read now.
        """
        bound = await self.book.ask(self.book.of, _identity(visitor))
        if bound is None or bound.user != name:
            raise SignInStale(name)
        self._judge(door, visitor, name)
        if self._house.as_root:
            await asyncio.to_thread(self._recheck_account, bound)
        return _admitted(door, visitor, name)

    async def _known_name(self, visitor: Visitor, claimed: str, ground: Ground) -> str:
        if ground is Ground.PINNED:
            return claimed
        bound = await self.book.ask(self.book.of, _identity(visitor))
        return bound.user if bound else claimed

    def _judge(self, door: Door, visitor: Visitor, name: str) -> None:
        problem = rules.person_refusal(self._house, name)
        if problem := problem or rules.refusal(door.access, visitor, name):
            raise SignInRefused(problem)

    async def _settle(self, door: Door, visitor: Visitor, name: str, ground: Ground) -> None:
        identity = _identity(visitor)
        bound = await self.book.ask(
            self.book.bind, identity, name, ground=ground, allies=door.allies
        )
        if isinstance(bound, Clash):
            raise SignInRefused(bound.text(identity))
        if bound.user != name:  # another sign-in of the same person was faster
            raise SignInRefused("Your user name changed during the sign-in. Sign in again.")
        if self._house.as_root:
            account = await asyncio.to_thread(self._account_of, bound, ground)
            if bound.uid != account.uid:
                await self.book.ask(self.book.record_uid, bound.user, account.uid)

    def _account_of(self, bound: Binding, ground: Ground) -> os_accounts.Account:
        account = os_accounts.find(bound.user)
        problem = os_accounts.refusal(
            self._house, bound.user, account=account, ground=ground, bound_uid=bound.uid
        )
        if problem:
            raise SignInRefused(problem)
        return account or _new_account(bound.user)

    def _recheck_account(self, bound: Binding) -> None:
        """Lets nobody stay whose name is another's account by now: they would start as them."""
        if bound.uid is None:  # from when the hub had no root
            raise SignInStale(bound.user)
        account = os_accounts.find(bound.user)
        if account is None:
            raise os_accounts.AccountUnseen(bound.user)
        if problem := os_accounts.refusal(
            self._house, bound.user, account=account, ground=Ground.NAMED, bound_uid=bound.uid
        ):
            raise SignInRefused(problem)


def _new_account(name: str) -> os_accounts.Account:
    try:
        return os_accounts.create(name)
    except OSError as error:
        raise SignInRefused(
            f"Your account '{name}' on this machine could not be made just now ({error}). "
            "Try again in a minute.",
            code=503,
            retry_after=60,
        ) from error


def _identity(visitor: Visitor) -> Identity:
    return Identity(visitor.namespace, visitor.subject)


def _admitted(door: Door, visitor: Visitor, name: str) -> Admitted:
    return Admitted(name, visitor.groups, rules.admin_status(door.access, visitor, name))
