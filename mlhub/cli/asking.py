"""One question to the quota service from a command, and its failures as a line and an exit code."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter

from mlhub.cli import access, screen
from mlhub.cli.exits import Exit
from mlhub.cli.stack import home_of
from mlhub.client import (
    AskedTooOften,
    BrokerClient,
    NoToken,
    Patience,
    Refused,
    ServiceUnavailable,
)

T = TypeVar("T")
PATIENCE: Final = Patience(deadline_s=6.0, try_s=5.0)  # a service that restarts is back in three
HURRY: Final = Patience(deadline_s=1.0, try_s=1.0)
UNKNOWN_ASKER: Final = 401


def find_access(url: str | None, token_file: Path | None, home: Path | None) -> access.Access:
    """The service that a command is about; ends the command when there is none."""
    try:
        return access.find(url, token_file, home_of(home), os.environ)
    except access.Lack as lack:
        screen.fail(str(lack), Exit.USAGE if lack.running else Exit.UNREACHABLE)


def client_for(found: access.Access, patience: Patience = PATIENCE) -> BrokerClient:
    """A client of that service."""
    return BrokerClient(
        found.url, token=found.token, token_file=found.token_file, patience=patience
    )


def ask(found: access.Access, question: Callable[[BrokerClient], Awaitable[T]]) -> T:
    """The answer to a question; ends the command when there is none, or when it is no."""

    async def put() -> T:
        async with client_for(found) as client:
            return await question(client)

    with failures_in_one_line():
        return asyncio.run(put())


@contextmanager
def failures_in_one_line() -> Iterator[None]:
    """Ends the command with a line and the right exit code when the service says no, or nothing."""
    try:
        yield
    except Refused as refusal:
        screen.fail(refusal_text(refusal), Exit.REFUSED)
    except AskedTooOften as error:
        screen.fail(_sentence(str(error)), Exit.REFUSED)
    except ServiceUnavailable as error:
        screen.fail(_sentence(str(error)), Exit.UNREACHABLE)
    except NoToken as error:
        screen.fail(_sentence(str(error)), Exit.USAGE)


def refusal_text(refusal: Refused) -> str:
    """What a person is told of a refusal."""
    if refusal.problem.status == UNKNOWN_ASKER:
        return "The hub does not know this token (any more): make a new one on its page 'Token'."
    return _sentence(refusal.problem.text)


def find_access_quietly(
    url: str | None, token_file: Path | None, home: Path | None
) -> access.Access | None:
    """The service that a half-typed command is about, if it can be told."""
    url = url or os.environ.get("MLHUB_URL")
    token_file = token_file or _path(os.environ.get("MLHUB_TOKEN_FILE"))
    home = home or _path(os.environ.get("MLHUB_HOME"))
    try:
        return access.find(url, token_file, home_of(home), os.environ)
    except access.Lack:
        return None


def ask_quietly(found: access.Access, question: Callable[[BrokerClient], Awaitable[T]]) -> T | None:
    """The answer to a question of the shell's completion, which has no time and no words."""

    async def put() -> T:
        async with client_for(found, HURRY) as client:
            return await question(client)

    try:
        return asyncio.run(put())
    except (Refused, ServiceUnavailable, NoToken):
        return None


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None


def document(value: Any) -> Any:
    """An answer as a program gets it: times as ISO 8601, names as in the API."""
    return TypeAdapter(type(value)).dump_python(value, mode="json")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", ")")) else ".")
