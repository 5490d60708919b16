"""How a request of the API is carried out: rights, what was sent, the answer, the audit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from tornado.web import HTTPError, stream_request_body

from hub_services.quota.asks import Query
from hub_services.quota.identity import Identity
from hub_services.quota.origins import SAFE_METHODS
from hub_services.quota.problems import (
    Problem,
    bad_input,
    from_validation,
    not_allowed,
)
from hub_services.quota.request import MOST_BODY, ProgramRequest
from hub_services.quota.routes import Call, Reply, Right, Route
from hub_services.quota.service import Service

KEY_LENGTHS: Final = range(8, 129)


@stream_request_body
class ApiRequest(ProgramRequest):
    """All methods of one path. A body that is too large is read past and never kept."""

    routes: Mapping[str, Route]

    def initialize(self, service: Service, routes: Mapping[str, Route]) -> None:  # type: ignore[override]
        """Tornado's: what the application gives to each path."""
        super().initialize(service)
        self.routes = routes
        self._body = bytearray()

    def prepare(self) -> None:
        """Tornado's: before the body is read."""
        if not self.routes:
            raise HTTPError(404)
        length = self.request.headers.get("Content-Length", "0")
        if length.isdecimal() and int(length) > self.settings["largest_body"]:
            raise too_large()

    def data_received(self, chunk: bytes) -> None:
        """Tornado's: a part of the body."""
        if len(self._body) <= MOST_BODY:
            self._body += chunk

    async def get(self, **path: str) -> None:
        """Carry out the path's GET."""
        await self._serve(path)

    async def post(self, **path: str) -> None:
        """Carry out the path's POST."""
        await self._serve(path)

    async def delete(self, **path: str) -> None:
        """Carry out the path's DELETE."""
        await self._serve(path)

    async def _serve(self, path: Mapping[str, str]) -> None:
        route = self.routes.get(str(self.request.method))
        if route is None or route.does is None:
            raise HTTPError(405)
        with self.service.carrying_out():
            try:
                await self.let_in(route)
                self._count(route, self.who.name, hub_side=False)
                call = self.call(route, path)
                self._count(route, getattr(call.body, "user", None), hub_side=True)
                reply = await route.does(call)
            except Exception as error:
                await self.note(route.path, error)
                raise
        self._answer(reply)

    async def let_in(self, route: Route) -> None:
        """Find out who asks, and whether they may.

        Raises:
            Problem: they may not, or have not said who they are.
        """
        if route.right is Right.ANYONE:
            return
        ticket = self.ticket(self.service.now())
        who = ticket[0] if ticket else await self.identify()
        if who is None:
            raise self.unknown()
        self.who = who
        _check(who, route.right)

    def _count(self, route: Route, user: str | None, *, hub_side: bool) -> None:
        """Count a request for a change to whom it is for, so that nobody uses up another's share.

        The hub's side asks for many: what it asks for somebody counts to them, and its reports of
        what became of a server are never refused.

        Raises:
            Problem: they asked too often.
        """
        if user and route.method not in SAFE_METHODS and self.who.acts is hub_side:
            self.service.pace.count(user)

    def call(self, route: Route, path: Mapping[str, str]) -> Call:
        """What was sent, checked.

        Raises:
            Problem: it is not what the route takes.
        """
        if len(self._body) > MOST_BODY:
            raise too_large()
        return Call(
            self.service, self.who, path, query=self._query(route), body=self._read(route),
            key=self._key() if route.keyed else "",
        )  # fmt: skip

    def _read(self, route: Route) -> BaseModel | None:
        if route.body is None:
            return None
        kind = self.request.headers.get("Content-Type", "").split(";")[0].strip().lower()
        if self._body and kind != "application/json":
            raise Problem(415, "not-json", "Send the body as application/json.")
        try:
            return route.body.model_validate_json(bytes(self._body) or b"{}")
        except ValidationError as error:
            raise from_validation(error) from error

    def _query(self, route: Route) -> BaseModel | None:
        given = {name: self.get_query_argument(name) for name in self.request.query_arguments}
        given.pop("_xsrf", None)  # where a page cannot set a header
        try:
            return (route.query or Query).model_validate(given)
        except ValidationError as error:
            raise from_validation(error) from error

    def _key(self) -> str:
        key = self.request.headers.get("Idempotency-Key", "")
        if len(key) not in KEY_LENGTHS or not (key.isascii() and key.isprintable()):
            how = "send 8 to 128 printable characters, the same ones when you ask again"
            raise bad_input("Idempotency-Key", "it is missing or no key", how)
        return key

    def _answer(self, reply: Reply) -> None:
        self.set_status(reply.status)
        for name, value in reply.headers.items():
            self.set_header(name, value)
        self.set_header("Content-Type", "application/json")
        self.finish(_json(reply.body))

    def methods(self) -> list[str]:
        """The methods that this path takes."""
        return sorted(self.routes)

    def label(self) -> str:
        """The path as the table has it, for metrics."""
        return next((route.path for route in self.routes.values()), "none")


def too_large() -> Problem:
    """The answer to more than anybody needs to send."""
    return Problem(413, "too-large", f"A request may have at most {MOST_BODY} bytes.")


def _check(who: Identity, right: Right) -> None:
    if who.ticket and right is not Right.READER:
        raise not_allowed("A ticket can only read.")
    if right is Right.OPERATOR and not who.operator:
        raise not_allowed("Only operators may do this.")
    if right is Right.ACTING and not who.acts:
        raise not_allowed("This needs a credential with the scope custom:mlhub:act-for-users.")


def _json(body: BaseModel | list[Any] | dict[str, Any]) -> str:
    if isinstance(body, BaseModel):
        return body.model_dump_json()
    if isinstance(body, list):
        return f"[{','.join(row.model_dump_json() for row in body)}]"
    return json.dumps(body)
