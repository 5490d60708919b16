"""Who holds what: every node and device, with filters; holders as far as the visitor may know."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

from hub_services.quota import inventory_api
from hub_services.quota.pages.visit import Visit
from hub_services.quota.problems import bad_input
from hub_services.quota.words import STATES

NODES: Final = 50  # on one page


class Holders(Visit):
    """GET: the inventory, some nodes at a time."""

    async def get(self) -> None:
        """Show what the filter leaves."""
        flavor, state = self.get_query_argument("flavor", ""), self.get_query_argument("state", "")
        after = self._after()

        def fits(_: str, kind: str | None, how: str) -> bool:
            return flavor in {"", kind} and state in {"", how}

        found = await inventory_api.find(self.call(), fits, slice(after, after + NODES))
        more = after + NODES if after + NODES < found.fitting else None
        self.show_live(
            "holders.html", stock=await self.stock(), found=found, states=STATES, flavor=flavor,
            state=state, after=after, more=more and _link(flavor, state, more),
            before=_link(flavor, state, max(0, after - NODES)) if after else None,
        )  # fmt: skip

    def _after(self) -> int:
        text = self.get_query_argument("after", "0")
        if not text.isdecimal() or len(text) > 9:
            raise bad_input("after", "it is no number of a machine", "use the page's own links")
        return int(text)


def _link(flavor: str, state: str, after: int) -> str:
    """Another part of the same list."""
    return "?" + urlencode({"flavor": flavor, "state": state, "after": after})
