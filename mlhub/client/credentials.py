"""Where the client's token comes from; it is never part of a message."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mlhub.client.errors import NoToken


def credential_of(token: str | None, token_file: Path | None) -> Callable[[], str]:
    """What gives the token at each request: the one that was given, else the file's content.

    Raises:
        NoToken: neither is named; the function itself raises it when there is no token in it.
    """
    if token is not None:
        return lambda: _checked(token, "the token that was given")
    if token_file is None:
        raise NoToken("there is no token: name a file that holds one")
    return lambda: _from_file(token_file)


def _from_file(path: Path) -> str:
    try:
        return _checked(path.read_text(encoding="ascii"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise NoToken(f"the token in {path} cannot be read: {why}") from None


def _checked(text: str, name: str) -> str:
    token = text.strip()
    if not token or not token.isprintable() or " " in token:
        raise NoToken(f"{name} holds no token")
    return token
