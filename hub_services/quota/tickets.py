"""Tickets: short-lived, read-only credentials for the live parts of the hub's own pages."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from hub_services.quota.identity import Identity

LIFETIME: Final = timedelta(hours=1)
LONGEST: Final = 16_384  # characters of a ticket that are looked at


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket and until when it is good."""

    text: str
    expires_at: datetime


class Tickets:
    """Makes and reads tickets. Nothing is stored: a ticket says itself whose it is.

    Args:
        secret: whoever has it can make tickets. Derived from the service's own token, so that a
            form that is open stays alive over a restart of the service, and none outlives a
            change of that token.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def make(self, user: str, groups: tuple[str, ...], now: datetime) -> Ticket:
        """A ticket for one user."""
        expires_at = (now + LIFETIME).replace(microsecond=0)
        said = {"user": user, "groups": groups, "until": int(expires_at.timestamp())}
        body = _armoured(json.dumps(said, separators=(",", ":")).encode())
        return Ticket(f"{body}.{_armoured(self._seal(body))}", expires_at)

    def read(self, text: str, now: datetime) -> tuple[Identity, datetime] | None:
        """Whose a ticket is and until when; None when it is not good (any more)."""
        body, _, seal = text[:LONGEST].partition(".")
        given = _bare(seal)
        if given is None or not hmac.compare_digest(given, self._seal(body)):
            return None
        said: dict[str, Any] = json.loads(_bare(body) or b"{}")
        until = datetime.fromtimestamp(said["until"], UTC)
        if now >= until:
            return None
        user = str(said["user"])
        return Identity(user, user, tuple(said["groups"]), ticket=True), until

    def _seal(self, body: str) -> bytes:
        return hmac.digest(self._secret, body.encode(), "sha256")


def derived(token: str, purpose: str) -> bytes:
    """A key for one purpose from the service's token: 32 bytes, the same after a restart."""
    return hmac.digest(token.encode(), f"mlhub quota {purpose}".encode(), hashlib.sha256)


def _armoured(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bare(text: str) -> bytes | None:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return None
