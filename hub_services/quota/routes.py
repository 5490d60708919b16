"""What a route is: one row of the table from which both the handlers and the document come."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pydantic import BaseModel

from hub_services.quota.identity import Identity
from hub_services.quota.service import Service


class Right(StrEnum):
    """Which credential a route takes. Whose things it touches is checked in the route itself."""

    ANYONE = "no credential"
    READER = "any credential, a ticket too"
    SIGNED_IN = "a token or a sign-in"
    OPERATOR = "an operator's"
    ACTING = "with the scope custom:mlhub:act-for-users"


@dataclass(frozen=True, slots=True)
class Call:
    """One request after it was checked at the edge.

    Attributes:
        path: the variable parts of the path.
        query, body: as the route's models have them; None where it has none.
        key: the idempotency key, where the route asks for one.
    """

    service: Service
    who: Identity
    path: Mapping[str, str] = field(default_factory=dict)
    query: Any = None
    body: Any = None
    key: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that is no problem. A list of models is a JSON array."""

    body: BaseModel | list[Any] | dict[str, Any]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path.

    Attributes:
        path: below the API's base, with its variable parts in braces.
        does: carries it out; None for a stream, which its handler answers itself.
        answers: the model of each status that is no problem.
        problems: the statuses of problems that it can answer with, beside those of all routes.
        keyed: whether it needs an Idempotency-Key.
        many: whether the answer is an array of the model.
        media: the answer's media type.
    """

    method: str
    path: str
    right: Right
    summary: str
    does: Callable[[Call], Awaitable[Reply]] | None
    answers: Mapping[int, type[BaseModel] | None]
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    problems: tuple[int, ...] = ()
    keyed: bool = False
    many: bool = False
    media: str = "application/json"

    @property
    def pattern(self) -> str:
        """The path as a regular expression with named groups."""
        return re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.path)

    @property
    def variables(self) -> list[str]:
        """The names of the variable parts of the path."""
        return re.findall(r"\{(\w+)\}", self.path)
