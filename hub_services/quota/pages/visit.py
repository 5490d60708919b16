"""What every page of people does: reads through the API's own rights, and carries out forms."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

from pydantic import ValidationError

from hub_services.quota import inventory_api
from hub_services.quota.answers import InventoryView
from hub_services.quota.asks import InventoryQuery
from hub_services.quota.page import Page
from hub_services.quota.problems import from_validation
from hub_services.quota.routes import Call, Reply

Does = Callable[[Call], Awaitable[Reply]]


class Visit(Page):
    """A page that shows what the API knows, to the visitor as the API would."""

    async def ask(self, does: Does, *, body: Any = None, query: Any = None, **path: str) -> Any:
        """What one call of the API answers to this visitor.

        Raises:
            Problem: it refuses; the page of errors says so.
        """
        reply = await does(Call(self.service, self.who, path, query=query, body=body))
        return reply.body

    def read_form(self, model: Any, **names: str) -> Any:
        """The form's fields as one of the API's bodies; `names` are the fields, by member.

        Raises:
            Problem: they are not what the body needs.
        """
        try:
            return model(
                **{member: self.get_body_argument(name, "") for member, name in names.items()}
            )
        except ValidationError as error:
            raise from_validation(error) from error

    @property
    def part(self) -> bool:
        """Whether an open page asks for what is new in it, not for a whole page."""
        return self.request.headers.get("X-Mlhub-Part") == "live"

    def call(self) -> Call:
        """A call of the API in the visitor's name."""
        return Call(self.service, self.who, {})

    async def stock(self) -> InventoryView:
        """The flavors as they stand for the visitor, without the devices."""
        query = InventoryQuery(devices=False)
        found: InventoryView = await self.ask(inventory_api.inventory, query=query)
        return found

    def show_live(self, template: str, **facts: Any) -> None:
        """A page that keeps itself up to date while it is open."""
        service = self.service
        self.show(
            template, notice=service.broker.policy.notice.total_seconds(),
            now=service.ledger_now(), who=self.who, part=self.part,
            hub_prefix=service.hub_prefix, base=service.hub_prefix.removesuffix("hub/"), **facts,
        )  # fmt: skip

    def server_url(self, user: str, server: str) -> str:
        """Where the hub shows a server of somebody, or its start."""
        name = f"/{quote(server, safe='')}" if server else ""
        return f"{self.service.hub_prefix.removesuffix('hub/')}user/{quote(user, safe='')}{name}/"

    def spawn_url(self, user: str, server: str) -> str:
        """Where the hub shows the form of a server of somebody."""
        names = (quote(user, safe=""), quote(server, safe=""))
        return f"{self.service.hub_prefix}spawn{'/' + '/'.join(names) if server else ''}"

    def back_to(self, path: str) -> None:
        """After a form: a page of ours."""
        self.redirect(f"{self.service.prefix}{path}", status=303)


class Form(Visit):
    """POST: what a form of a page changes, under the same rules as a change by the API.

    It counts to its sender's pace, the process does not end within it, and a refusal is one line
    of the audit. `does` is given the variable parts of the path.
    """

    does: Callable[..., Awaitable[None]]

    async def post(self, **path: str) -> None:
        """Carry it out."""
        with self.service.carrying_out():
            try:
                self.service.pace.count(self.who.name)
                await self.does(**path)
            except Exception as error:
                await self.note(self.label(), error)
                raise
