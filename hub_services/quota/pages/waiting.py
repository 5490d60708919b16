"""The waiting page: the place in the queue, when and why, what is free now, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from hub_services.quota import claims_api
from hub_services.quota.answers import ClaimView, FlavorView, InventoryView
from hub_services.quota.pages.switching import CPU, options_with, to_be_had
from hub_services.quota.pages.visit import Visit
from mlhub.core.errors import NotFound
from mlhub.profiles import GpuAsk

Can = Callable[[GpuAsk | None], bool]
REFRESH: Final = 5  # seconds between two looks where the page's script does not run


class Waiting(Visit):
    """GET: how a claim of the visitor's stands."""

    async def get(self, claim_id: str) -> None:
        """Show it; once its server is on its way, go there."""
        claim: ClaimView = await self.ask(claims_api.show, claim_id=claim_id)
        stock = await self.stock()
        flavor = next((row for row in stock.flavors if row.name == claim.flavor), None)
        mine = self.who.is_user(claim.user)
        can = await self._can(claim) if mine and claim.state == "queued" else None
        self.show_live(
            "waiting.html", claim=claim, claim_id=claim_id, flavor=flavor, mine=mine, stock=stock,
            free=_free(claim, stock, can) if can else [],
            without=can is not None and can(None), cpu=CPU,
            runs=mine and await self._runs(claim), asked=self._asked(stock),
            follow=self.server_url(claim.user, claim.server) if mine else "",
            refresh=REFRESH, spawn_url=self.spawn_url(claim.user, claim.server),
        )  # fmt: skip

    async def _can(self, claim: ClaimView) -> Can:
        """Tells whether the claim's environment can have other GPUs or, by None, none."""
        try:
            found = options_with(self.service, await self.service.broker.find_claim(claim.claim))
        except NotFound:
            return lambda _: False
        return lambda wanted: found(wanted) is not None

    async def _runs(self, claim: ClaimView) -> bool:
        """Whether the claim's server runs already with something else."""
        held = claim.lease is not None and claim.lease.status == "held"
        if not held and claim.state != "queued":
            return False
        server = (claim.user, claim.server)
        just_asked = bool(self.get_query_argument("instead", "")) and not self.part
        return await self.service.hub_word.runs(
            self.service.broker.hub, server, standing=claim.state, anew=just_asked
        )

    def _asked(self, stock: InventoryView) -> FlavorView | str:
        """What the visitor just asked for instead, while a server of theirs runs."""
        name = self.get_query_argument("instead", "")
        return name if name == CPU else next((r for r in stock.flavors if r.name == name), "")


def _free(claim: ClaimView, stock: InventoryView, can: Can) -> list[tuple[FlavorView, bool]]:
    """What could be had now, each with whether the same environment can have it."""
    return [
        (row, can(GpuAsk(row.name, claim.count)))
        for row in stock.flavors
        if to_be_had(row, claim.count)
    ]
