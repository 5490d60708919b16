"""The waiting page: the place in the queue, when and why, what is free now, and what came of it."""

from __future__ import annotations

from urllib.parse import quote

from hub_services.quota import claims_api
from hub_services.quota.answers import ClaimView
from hub_services.quota.pages.visit import Visit

REFRESH = 5  # seconds between two looks where the page's script does not run


class Waiting(Visit):
    """GET: how a claim of the visitor's stands."""

    async def get(self, claim_id: str) -> None:
        """Show it; once its server is on its way, go there."""
        claim: ClaimView = await self.ask(claims_api.show, claim_id=claim_id)
        stock = await self.stock()
        flavor = next((row for row in stock.flavors if row.name == claim.flavor), None)
        mine = self.who.is_user(claim.user)
        starting = claim.state == "granted" and mine
        self.show_live(
            "waiting.html", claim=claim, claim_id=claim_id, flavor=flavor, mine=mine, stock=stock,
            free=[row for row in stock.flavors if row.now and row.allowed],
            follow=self.server_url(claim.user, claim.server) if starting else "",
            refresh=REFRESH, spawn_url=self._spawn_url(claim),
        )  # fmt: skip

    def _spawn_url(self, claim: ClaimView) -> str:
        names = (quote(claim.user, safe=""), quote(claim.server, safe=""))
        name = "/" + "/".join(names) if claim.server else ""
        return f"{self.service.hub_prefix}spawn{name}"
