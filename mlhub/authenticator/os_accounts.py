"""OS accounts of a hub that runs as root: found, judged, and made where the settings say so."""

import grp
import os
import pwd
import subprocess
from dataclasses import dataclass

from mlhub.authenticator.bindings import Ground
from mlhub.authenticator.rules import HouseRules
from mlhub.system_accounts import is_personal_gid, system_problem

USERADD_SECONDS = 60


class AccountUnseen(Exception):
    """The account of somebody who is signed in is not found.

    It was deleted, or the directory that has it does not answer: the system does not say which.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"this machine finds no account '{name}'; its directory may be away")


@dataclass(frozen=True, slots=True)
class Account:
    """An OS account."""

    name: str
    uid: int


def find(name: str) -> Account | None:
    """Looks an account up by its exact name."""
    try:
        entry = pwd.getpwnam(name)
    except (KeyError, ValueError):
        return None
    return Account(entry.pw_name, entry.pw_uid)


def groups_of(name: str, named: frozenset[str] = frozenset()) -> frozenset[str]:
    """Lists the groups of an account that are people's, and those of the system that are named.

    Args:
        name: Of the account.
        named: Groups that count although they are the system's, such as `sudo`.
    """
    groups = {gid: _group_name(gid) for gid in os.getgrouplist(name, pwd.getpwnam(name).pw_gid)}
    return frozenset(
        group for gid, group in groups.items() if group and (is_personal_gid(gid) or group in named)
    )


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return ""


def create(name: str) -> Account:
    """Makes an account without a password, with a home of mode 700.

    Raises:
        OSError: the system refused.
    """
    command = ["useradd", "--create-home", "--key", "HOME_MODE=0700", "--shell", "/bin/bash"]
    said = _said_by([*command, "--", name])
    account = find(name)
    if account is None:
        raise OSError(f"useradd could not make the account '{name}': {said[:200]}")
    return account


def _said_by(command: list[str]) -> str:
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=USERADD_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"no end after {USERADD_SECONDS} s"
    return answer.stderr.strip()


def system_refusal(rules: HouseRules, account: Account) -> str | None:
    """Says why an account of the system is refused; None: it is a person's, or allowed."""
    problem = system_problem(account.name, account.uid, allowed=rules.system_accounts)
    return f"{problem}: nobody signs in as it." if problem else None


def refusal(
    rules: HouseRules, name: str, *, account: Account | None, ground: Ground, bound_uid: int | None
) -> str | None:
    """Says why a provider's visitor does not get the OS account of this name. Pure.

    Args:
        rules: Of the house.
        name: The user name.
        account: What the machine has by this name.
        ground: Why the visitor has this user name.
        bound_uid: The account's number when the visitor first used it; None: this is first use.
    """
    if account is None:
        return None if rules.os_users == "create" else _no_account(name)
    if problem := system_refusal(rules, account):
        return problem
    if bound_uid is not None:
        return None if bound_uid == account.uid else _replaced(name)
    if rules.os_users == "existing" or ground is not Ground.FIRST_SIGHT:
        return None
    return (
        f"This machine has an account '{name}' already, and nothing says that it is yours. "
        "Ask the administrator of this hub to link it to your login (`accounts` in mlhub.yaml)."
    )


def _no_account(name: str) -> str:
    return (
        f"You have no account on this machine: '{name}' does not exist. "
        "Ask its administrator to make one."
    )


def _replaced(name: str) -> str:
    return (
        f"The account '{name}' of this machine is not the one that you used before: it was deleted "
        "and made anew, maybe for somebody else. Ask the administrator of this hub."
    )
