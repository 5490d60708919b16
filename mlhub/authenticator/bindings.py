"""Whose user name is whose: the decision, over what is bound already. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class Ground(Enum):
    """Why a name is claimed; what stands in mlhub.yaml weighs more than first sight."""

    FIRST_SIGHT = "first sight"
    NAMED = "named by login in the settings"
    PINNED = "pinned by stable id in the settings"


@dataclass(frozen=True, slots=True)
class Identity:
    """A person as one provider knows them for good."""

    namespace: str
    subject: str


@dataclass(frozen=True, slots=True)
class Binding:
    """An identity and the user name that is its own here.

    Attributes:
        identity: whose it is.
        user: the user name.
        uid: the OS account's number when it was first used; None where there is no account.
    """

    identity: Identity
    user: str
    uid: int | None = None


@dataclass(frozen=True, slots=True)
class Clash:
    """A name that is somebody else's already."""

    user: str
    holder: Identity

    def text(self, visitor: Identity) -> str:
        """Tells the visitor, without telling who the holder is."""
        other = "another account of the same provider"
        if self.holder.namespace != visitor.namespace:
            other = "an account of another way to sign in"
        return (
            f"The user name '{self.user}' belongs to {other} here, so this login cannot have it: "
            "names are given to the account that came first, and an account that got the name of "
            "another later never reaches its files. If both are yours, ask the administrator of "
            f"this hub to link them: `accounts` with the id '{visitor.subject}'."
        )


def own_binding(identity: Identity, bindings: Sequence[Binding]) -> Binding | None:
    """Finds what an identity is bound to."""
    return next((binding for binding in bindings if binding.identity == identity), None)


def decide(
    identity: Identity,
    user: str,
    *,
    ground: Ground,
    bindings: Sequence[Binding],
    allies: frozenset[str] = frozenset(),
) -> Binding | Clash:
    """Decides which user name an identity has.

    A bound identity keeps its name, whatever its login is by now; only a pin moves it. A free name
    goes to who comes first. A taken one is joined by a pin always, by a name in the settings and by
    allied namespaces if nobody of the same namespace has it, and is a clash otherwise.

    Args:
        identity: Who asks.
        user: The name asked for.
        ground: Why.
        bindings: Those of the identity and those of the name.
        allies: Namespaces that mean the same person by the same name.
    """
    own = own_binding(identity, bindings)
    if own is not None and (ground is not Ground.PINNED or own.user == user):
        return own
    others = [b for b in bindings if b.user == user and b.identity != identity]
    uid = next((binding.uid for binding in others if binding.uid is not None), None)
    for other in others:
        if not _may_join(identity, other.identity, ground, allies):
            return Clash(user, other.identity)
    return Binding(identity, user, uid)


def _may_join(identity: Identity, other: Identity, ground: Ground, allies: frozenset[str]) -> bool:
    if ground is Ground.PINNED:
        return True
    if identity.namespace == other.namespace:
        return False
    return ground is Ground.NAMED or other.namespace in allies
