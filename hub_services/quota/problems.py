"""Every error as problem details (RFC 9457): what was wrong, and what the client can do."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from pydantic import ValidationError
from tornado.web import HTTPError

from mlhub.core.errors import (
    BadInput,
    Conflict,
    HubRefused,
    HubUnavailable,
    InventoryUnavailable,
    LedgerUnavailable,
    MlhubError,
    NotFound,
    NotOwner,
)

log = logging.getLogger(__name__)
MEDIA_TYPE: Final = "application/problem+json"
SHOWN: Final = 300  # characters of what a client sent that are shown back to it


@dataclass(eq=False)
class Problem(Exception):
    """One error as the client is told it.

    Attributes:
        status: the HTTP status.
        kind: the last part of ``type``, a word that programs can rely on.
        detail: what was wrong, in the user's words.
        title: what this kind of problem is called.
        facts: further members, such as ``field``, ``remedy``, ``limit``.
        retry_after: seconds after which asking again may go better.
        recorded: True where the ledger's audit has a record of it already.
    """

    status: int
    kind: str
    detail: str
    title: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    retry_after: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    recorded: bool = False

    def body(self, instance: str) -> dict[str, Any]:
        """The members of the answer; those without a value are left out."""
        members = {
            "type": f"urn:mlhub:problem:{self.kind}",
            "title": self.title or HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "instance": instance[:SHOWN],
        }
        return members | {name: value for name, value in self.facts.items() if value is not None}


_KINDS: Final[tuple[tuple[type[MlhubError], int, str, int | None], ...]] = (
    (Conflict, 409, "conflict", None),
    (NotFound, 404, "not-found", None),
    (NotOwner, 503, "not-owner", 5),
    (LedgerUnavailable, 503, "ledger-unavailable", 2),
    (InventoryUnavailable, 503, "inventory-unavailable", 5),
    (HubUnavailable, 503, "hub-unavailable", 5),
    (HubRefused, 502, "hub-refused", None),
)


def from_error(error: BaseException) -> Problem:
    """The problem that an exception means to the client; what is unforeseen is logged."""
    return foreseen(error) or _unforeseen(error)


def foreseen(error: BaseException) -> Problem | None:
    """The problem that an expected exception means; None for any other."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, BadInput):
        return bad_input(error.field, error.problem, error.remedy)
    if isinstance(error, HTTPError) and error.status_code < 500:
        return _from_tornado(error.status_code)
    for kind, status, name, retry in _KINDS:
        if isinstance(error, kind):
            return Problem(status, name, _sentence(str(error)), retry_after=retry)
    return None


def bad_input(name: str, problem: str, remedy: str = "") -> Problem:
    """A request that makes no sense: which part, why, and what to do instead."""
    facts = {"field": name, "problem": problem, "remedy": remedy or None}
    return Problem(422, "bad-input", f"{name}: {problem}"[:SHOWN], "Bad input", facts)


def from_validation(error: ValidationError) -> Problem:
    """The first thing that pydantic found wrong."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    name = ".".join(str(part) for part in first["loc"])[:80] or "body"
    remedies = {"extra_forbidden": "leave it out", "missing": "add it"}
    return bad_input(name, first["msg"][:SHOWN], remedies.get(first["type"], ""))


def not_allowed(detail: str) -> Problem:
    """The credential is good, but not for this."""
    return Problem(403, "forbidden", detail)


_TEXTS: Final = {
    400: "The request could not be understood.",
    403: "This is not allowed.",
    404: "There is nothing at this address.",
    405: "This address does not take that method.",
    413: "The request is too large.",
}


def _from_tornado(status: int) -> Problem:
    phrase = HTTPStatus(status).phrase
    return Problem(status, phrase.lower().replace(" ", "-"), _TEXTS.get(status, f"{phrase}."))


def _unforeseen(error: BaseException) -> Problem:
    mark = secrets.token_hex(4)
    log.error("unforeseen error %s", mark, exc_info=error)
    text = f"The service made a mistake. Tell its operator this mark, it is in the log: {mark}."
    return Problem(500, "internal-error", text, retry_after=5)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"
