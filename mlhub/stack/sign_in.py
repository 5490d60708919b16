"""Who may sign in to the stack's hub, and what the person who starts it is told about that."""

from __future__ import annotations

import grp
import os
from pathlib import Path
from typing import Any

from mlhub.authentication_settings import AuthenticationSettings
from mlhub.authenticator import configure
from mlhub.authenticator.plan import Plan
from mlhub.core.errors import BadInput
from mlhub.stack.home import Home
from mlhub.stack.problems import StackProblem
from mlhub.stack.wiring import Wiring

GROUPS_OF_ADMINISTRATORS = ("sudo", "wheel", "admin")
EVERY_ACCOUNT = """
# Who may sign in: every account of this machine, with its own password{administrators}.
authentication:
  pam:
    allow_all: true
    admin_groups: [{groups}]
"""


def first_settings(text: str, *, as_root: bool) -> str:
    """Adds to the first `mlhub.yaml` who may sign in where everybody has an OS account.

    Args:
        text: The settings that a new home begins with.
        as_root: Whether each person's server runs as an OS user of its own.
    """
    if not as_root:
        return text
    groups = [name for name in GROUPS_OF_ADMINISTRATORS if group_exists(name)]
    told = f"; members of {' and '.join(groups)} are administrators" if groups else ""
    return text + EVERY_ACCOUNT.format(administrators=told, groups=", ".join(groups))


def group_exists(name: str) -> bool:
    """Tells whether this machine has such a group."""
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


def set_up(c: Any, home: Home, wiring: Wiring, settings: AuthenticationSettings) -> None:
    """Sets up the hub's sign-in.

    Args:
        c: The hub's configuration.
        home: The stack's home.
        wiring: Who listens where.
        settings: The `authentication:` section of the settings.

    Raises:
        StackProblem: see `checked`.
    """
    configure.configure_authentication(c, checked(home, wiring, settings))


def checked(home: Home, wiring: Wiring, settings: AuthenticationSettings) -> Plan:
    """Holds the settings of the sign-in against this machine and this stack.

    Args:
        home: The stack's home.
        wiring: Who listens where.
        settings: The `authentication:` section of the settings.

    Raises:
        StackProblem: the section does not fit this machine or the way the stack is started.
    """
    try:
        return configure.make_plan(
            settings,
            public_host=wiring.host,
            as_root=wiring.person is None,
            person=wiring.person or os.environ.get("SUDO_USER"),
            state_dir=home.hub,
        )
    except BadInput as error:
        raise StackProblem(
            f"Nobody could sign in as things are: {error}",
            remedy=f"Change it in {home.config_file} and start again.",
        ) from error


def rehearse(home: Home, wiring: Wiring, settings: AuthenticationSettings) -> list[str]:
    """Checks the sign-in before anything starts, and says how people will sign in.

    Raises:
        StackProblem: see `checked`.
    """
    known = {path for path in home.hub.iterdir() if path.is_file()}
    plan = checked(home, wiring, settings)
    ways = []
    if plan.settings.local_password is not None:
        ways += with_password(plan.password_file, wiring, made_now=plan.password_file not in known)
    if plan.settings.pam is not None:
        ways.append("Sign in with an account of this machine and its password.")
    if plan.settings.providers:
        ways.append(f"Sign in with {', '.join(plan.settings.providers)}.")
    return ways


def with_password(path: Path, wiring: Wiring, *, made_now: bool) -> list[str]:
    """Tells the one person about the generated password; shows it when it is new."""
    if not made_now:
        return [f"Sign in as {wiring.person}; the password is in {path}"]
    password = path.read_text().strip()
    return [
        f"Sign in as {wiring.person} with the password {password}",
        f"It is shown this once and kept in {path}",
    ]
