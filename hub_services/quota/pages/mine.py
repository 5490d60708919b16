"""My GPUs: what one holds, waits for, may hold and had; and the forms that change it."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from hub_services.quota import account_api, claims_api, inventory_api, leases_api
from hub_services.quota.answers import FlavorView, LeaseView, MeView
from hub_services.quota.asks import ReleaseAsk, RenewAsk
from hub_services.quota.pages.visit import Form, Visit
from hub_services.quota.spending import Bill, so_far
from hub_services.quota.words import share
from mlhub.core.quantities import format_memory


class Mine(Visit):
    """GET: everything of the visitor's own."""

    async def get(self) -> None:
        """Show it."""
        me: MeView = await self.ask(account_api.me)
        stock = await self.stock()
        mine = {uuid for lease in me.leases for uuid in lease.devices}
        found = await inventory_api.find(self.call(), lambda uuid, *_: uuid in mine, slice(None))
        devices = {device.uuid: device for node in found.nodes for device in node.devices}
        flavors = {row.name: row for row in stock.flavors}
        bills = await self.service.spending.bills(self.service.history, me.user, me.leases)
        self.show_live(
            "mine.html", me=me, stock=stock, devices=devices, flavors=flavors,
            limits=_limits(me), server_url=self.server_url, use=self._use,
            spent=partial(_spent, bills=bills, now=stock.now),
        )  # fmt: skip

    def _use(self, lease: LeaseView, uuid: str) -> list[float | None]:
        """How busy a device was in the last hour, since the lease has it."""
        since = lease.started_at or lease.granted_at
        return self.service.recent.of(uuid, since=since, now=self.service.ledger_now())


def _spent(lease: LeaseView, flavor: FlavorView, *, bills: dict[str, Bill], now: datetime) -> float:
    """What a lease has cost so far, in credits."""
    return so_far(lease, bills.get(lease.id), flavor.price, now)


def _limits(me: MeView) -> list[tuple[str, dict, str]]:
    """Each limit with its bar and how it is said; those without a bound are left out."""
    limits, use = me.limits, me.use
    rows = (
        ("GPUs", use.devices, limits.devices, str),
        ("GPU memory", use.memory_mib, limits.memory_mib, format_memory),
        ("servers with a GPU", use.servers, limits.servers, str),
    )
    return [
        (name, share(used, limit), f"{says(used)} of {says(limit)}")
        for name, used, limit, says in rows
        if limit is not None
    ]


class Release(Form):
    """POST: give a lease back, or as an operator take it back with a reason."""

    async def does(self, lease_id: str) -> None:
        """Do it, and go back to where the form was."""
        body = self.read_form(ReleaseAsk, why="why")
        await self.ask(leases_api.release, body=body, lease_id=lease_id)
        self.back_to("admin" if self.get_body_argument("from", "") == "admin" else "")


class Extend(Form):
    """POST: let a lease end later, where nobody waits."""

    async def does(self, lease_id: str) -> None:
        """Do it, and say at the top of the page what came of it."""
        body = self.read_form(RenewAsk, duration="duration")
        done = await self.ask(leases_api.renew, body=body, lease_id=lease_id)
        self.service.broker.notifier.tell(done.user, "renewed", done.message, done.id)
        self.back_to("")


class Leave(Form):
    """POST: leave the queue."""

    async def does(self, claim_id: str) -> None:
        """Do it."""
        await self.ask(claims_api.cancel, claim_id=claim_id)
        back = self.get_body_argument("from", "")
        self.back_to("admin" if back == "admin" else f"waiting/{claim_id}")
