"""The operator's page: every lease and claim, what does not hold, and what was done."""

from __future__ import annotations

from functools import partial

from hub_services.quota import account_api, doctor_api, inventory_api, leases_api
from hub_services.quota.asks import LeaseQuery, PageQuery, QueueQuery
from hub_services.quota.pages.visit import Visit
from hub_services.quota.problems import bad_input, not_allowed

SHOWN = 50  # records of the audit
ROWS = 200  # of leases, and of those who wait


class Admin(Visit):
    """GET: all of it. Only for operators."""

    async def get(self) -> None:
        """Show it."""
        if not self.who.operator:
            raise not_allowed("This page is for operators.")
        user = self.get_query_argument("user", "")[:255]
        query = PageQuery(user=user or None, limit=SHOWN, before=self._number("before"))
        leases = LeaseQuery(limit=ROWS, before=self._number("leases"))
        queue = QueueQuery(limit=ROWS, after=self._number("queue") or 0)
        stock, ledger = await self.stock(), (await self.service.look()).ledger
        self.show_live(
            "admin.html", kinds={row.name: row.display_name for row in stock.flavors},
            leases=await self.ask(leases_api.listed, query=leases),
            queue=await self.ask(inventory_api.queue, query=queue),
            audit=await self.ask(account_api.audit, query=query),
            findings=await self.service.findings.get(partial(doctor_api.examined, self.service)),
            stock=stock, user_filter=user, held=len(ledger.leases), waiting=len(ledger.waiting()),
        )  # fmt: skip

    def _number(self, name: str) -> int | None:
        """From which row on a list is shown; None: from its beginning."""
        text = self.get_query_argument(name, "")
        if not text:
            return None
        if not text.isdecimal() or len(text) > 18 or int(text) < 1:
            raise bad_input(name, "it is no number of a record", "use the page's own links")
        return int(text)
