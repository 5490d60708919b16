"""The operator's page: every lease and claim, what does not hold, and what was done."""

from __future__ import annotations

from functools import partial

from hub_services.quota import account_api, doctor_api, inventory_api, leases_api
from hub_services.quota.asks import LeaseQuery, PageQuery, QueueQuery
from hub_services.quota.pages.visit import Visit
from hub_services.quota.problems import bad_input, not_allowed

SHOWN = 50


class Admin(Visit):
    """GET: all of it. Only for operators."""

    async def get(self) -> None:
        """Show it."""
        if not self.who.operator:
            raise not_allowed("This page is for operators.")
        user, before = self.get_query_argument("user", "")[:255], self._before()
        query = PageQuery(user=user or None, limit=SHOWN, before=before)
        stock = await self.stock()
        self.show_live(
            "admin.html", kinds={row.name: row.display_name for row in stock.flavors},
            leases=await self.ask(leases_api.listed, query=LeaseQuery(limit=500)),
            queue=await self.ask(inventory_api.queue, query=QueueQuery()),
            audit=await self.ask(account_api.audit, query=query),
            findings=await self.service.findings.get(partial(doctor_api.examined, self.service)),
            stock=stock, user_filter=user, before=before,
        )  # fmt: skip

    def _before(self) -> int | None:
        text = self.get_query_argument("before", "")
        if not text:
            return None
        if not text.isdecimal() or len(text) > 18 or int(text) < 1:
            raise bad_input("before", "it is no number of a record", "use the page's own links")
        return int(text)
