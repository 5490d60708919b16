"""Whether a visitor may use this hub, and as an administrator or not. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from mlhub.authenticator.visitors import Visitor
from mlhub.provider_settings import AccessSettings


@dataclass(frozen=True, slots=True)
class HouseRules:
    """What holds for every method.

    Attributes:
        person: the only user name there is, on a hub without root; None: there are many.
        account: the OS account that the hub runs as, for the texts.
        as_root: every user is an OS user of their own.
        os_users: which OS accounts a provider's people get: mapped, existing or create.
        system_accounts: accounts of the system that may sign in.
    """

    person: str | None = None
    as_root: bool = False
    os_users: str = "mapped"
    system_accounts: frozenset[str] = frozenset()


NAME_LISTS: Final = ("allowed_users", "blocked_users", "admin_users")


def by_user_name(access: AccessSettings, user_name: Callable[[str], str]) -> AccessSettings:
    """Lets rules name people by their login as well as by the user name made of it."""

    def both(names: frozenset[str]) -> frozenset[str]:
        return names | {user_name(name) for name in names}

    return access.model_copy(update={key: both(getattr(access, key)) for key in NAME_LISTS})


def refusal(access: AccessSettings, visitor: Visitor, name: str) -> str | None:
    """Says why the rules of a method keep somebody out; None: they do not."""
    if name in access.blocked_users:
        return f"The user '{name}' is blocked here. Ask the administrator of this hub."
    if access.allow_all or name in access.allowed_users | access.admin_users:
        return None
    if visitor.groups & access.named_groups:
        return None
    if access.named_groups:
        return (
            f"You signed in as '{name}', but none of your groups may use this hub. "
            "Ask its administrator to add you to one that may."
        )
    return (
        f"You signed in as '{name}', who is not on the list of people of this hub. "
        "Ask its administrator to add you."
    )


def admin_status(access: AccessSettings, visitor: Visitor, name: str) -> bool | None:
    """Says whether somebody is an administrator; None: no rule says, the hub's own pages do."""
    if not access.admin_users and not access.admin_groups:
        return None
    return name in access.admin_users or bool(visitor.groups & access.admin_groups)


def person_refusal(rules: HouseRules, name: str) -> str | None:
    """Says why a hub without root refuses every name but one; None: it does not."""
    if rules.as_root or rules.person is None or name == rules.person:
        return None
    return (
        f"This hub runs without root, as '{rules.person}': only '{rules.person}' can sign in here; "
        f"'{name}' would work in the files of '{rules.person}'. For several people, "
        "start it with root: sudo make up."
    )
