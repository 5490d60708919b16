"""Who asks and what they may do, from what JupyterHub says of a credential."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

ACT: Final = "custom:mlhub:act-for-users"
OPERATE: Final = "custom:mlhub:operate"
FULL_ADMIN: Final = "admin:servers"  # a token with an admin's rights has it, a server's never


@dataclass(frozen=True, slots=True)
class Identity:
    """The owner of a credential.

    Attributes:
        user: the JupyterHub user; "" for a service.
        name: what the audit calls them: the user or the service.
        groups: the user's groups, as the hub or the ticket has them.
        operator: may see everything and release anyone's lease.
        acts: may name another user.
        ticket: True for a read-only ticket.
        scopes: what the hub lets the credential do.
    """

    user: str
    name: str
    groups: tuple[str, ...] = ()
    operator: bool = False
    acts: bool = False
    ticket: bool = False
    scopes: frozenset[str] = frozenset()

    def may_see(self, user: str) -> bool:
        """Whether this user's leases and claims may be shown to them."""
        return self.is_user(user) or self.operator or self.acts

    def may_end(self, user: str) -> bool:
        """Whether they may end, renew or cancel what belongs to this user."""
        return not self.ticket and self.may_see(user)

    def is_user(self, user: str) -> bool:
        """Whether they are that user."""
        return bool(self.user) and self.user == user


def identity_of(model: Mapping[str, Any], *, by_cookie: bool) -> Identity:
    """The identity from a hub's user model.

    A server's token is its owner's, but never an operator's: an admin is one where they signed in
    to this service by browser, or by a token that carries an admin's own rights. Anyone is whose
    credential has the scope for it.
    """
    scopes = frozenset(model.get("scopes", ()))
    person = model.get("kind", "user") == "user"
    admin = person and bool(model.get("admin")) and (by_cookie or FULL_ADMIN in scopes)
    name = str(model["name"])
    return Identity(
        user=name if person else "",
        name=name if person else f"service:{name}",
        groups=tuple(sorted(model.get("groups") or ())) if person else (),
        operator=OPERATE in scopes or admin,
        acts=ACT in scopes,
        scopes=scopes,
    )
