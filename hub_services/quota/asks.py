"""What clients send, checked at the edge: bodies and queries, each field with its bounds."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue
from pydantic_core import PydanticCustomError

from mlhub.core.errors import BadInput
from mlhub.core.quantities import parse_duration

LARGEST_NUMBER: Final = 2**63 - 1
SHORTEST: Final = timedelta(seconds=1)
# What would break a line of a log, or turn the order in which one is read.
CONTROLS: Final = r"\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069"
ONE_LINE: Final = rf"^[^{CONTROLS}]*$"
SERVER_NAME: Final = rf"^$|^[^\s/.{CONTROLS}]([^/{CONTROLS}]*[^\s/{CONTROLS}])?$"


def _bad(problem: str) -> PydanticCustomError:
    return PydanticCustomError("bad_input", "{problem}", {"problem": problem})


def _one_line(text: str) -> str:
    if not re.fullmatch(ONE_LINE, text):
        raise _bad("it holds a line break or another character that cannot be printed")
    return text


def _server_name(text: str) -> str:
    if not re.fullmatch(SERVER_NAME, text):
        raise _bad("a server's name has no slash, no dot at its begin, and no blanks around it")
    return text


def _duration(value: str | float | None) -> str | float | None:
    if value is None:
        return None
    try:
        span = parse_duration(value)
    except BadInput as error:
        raise _bad(f"{error.problem} ({error.remedy})") from error
    if span < SHORTEST:
        raise _bad("it is shorter than a second")
    return value


def _finite(value: dict[str, Any]) -> dict[str, Any]:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError as error:
        raise _bad("it holds a number that is not finite") from error
    return value


Line = {"json_schema_extra": {"pattern": ONE_LINE}}
Name = Annotated[str, Field(min_length=1, max_length=255, **Line), AfterValidator(_one_line)]
ServerName = Annotated[
    str,
    Field(max_length=255, json_schema_extra={"pattern": SERVER_NAME}),
    AfterValidator(_server_name),
]
FlavorName = Annotated[str, Field(min_length=1, max_length=100, **Line), AfterValidator(_one_line)]
Why = Annotated[str, Field(max_length=500, **Line), AfterValidator(_one_line)]
Duration = Annotated[
    str | float | None,
    Field(
        description='such as "8h" or "1h30m", or seconds',
        json_schema_extra={"examples": ["8h", 3600]},
    ),
    AfterValidator(_duration),
]
Options = Annotated[dict[str, JsonValue], AfterValidator(_finite)]


class Body(BaseModel):
    """A request's body: nothing is converted, and nothing unknown is taken."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ClaimAsk(Body):
    """A claim for GPUs."""

    flavor: FlavorName
    count: Annotated[int, Field(ge=1, le=10_000)] = 1
    server: ServerName = Field("", description='the name of the server; "" is the default one')
    kind: Literal["server"] = "server"
    duration: Duration = None
    wait: bool = Field(False, description="queue when it cannot be had now")
    user_options: Options = Field(
        default_factory=dict, description="what the server is started with at the grant"
    )
    user: Name | None = Field(None, description="on behalf of whom; needs a scope of its own")
    groups: Annotated[list[Name], Field(max_length=1000)] | None = Field(
        None, description="that user's groups; without it the hub is asked"
    )


class RenewAsk(Body):
    """A longer lease."""

    duration: Annotated[str | float, Field(examples=["2h", 7200]), AfterValidator(_duration)]


class HolderAsk(Body):
    """The process that holds a lease from now on."""

    pid: Annotated[int, Field(ge=1, le=2**31 - 1)]


class ReleaseAsk(Body):
    """Why a lease is ended; its user is shown it."""

    why: Why = ""


class TicketAsk(Body):
    """For whom a ticket is."""

    user: Name
    groups: Annotated[list[Name], Field(max_length=1000)] = []


class Nothing(Body):
    """A body without members."""


class Query(BaseModel):
    """What may stand in a query: text, that is read as what the field is."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PageQuery(Query):
    """Which part of a list, and whose."""

    user: Name | None = Field(None, description="only of this user")
    limit: Annotated[int, Field(ge=1, le=500)] = 100
    before: Annotated[int, Field(ge=1, le=LARGEST_NUMBER)] | None = Field(
        None, description="the `next` of the page that came before"
    )


class LeaseQuery(PageQuery):
    """Which leases."""

    state: Literal["live", "ended"] = "live"


class InventoryQuery(Query):
    """How much of the inventory."""

    devices: bool = Field(True, description="false: the flavors alone, for those who only pick one")
    mine: bool = Field(False, description="true: the asker's limits, use, claims and leases too")


class QueueQuery(Query):
    """Which part of the queues."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 1000
    after: Annotated[int, Field(ge=0, le=LARGEST_NUMBER)] = Field(
        0, description="the `next` of the page that came before"
    )
