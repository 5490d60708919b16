"""Who holds what: every node and device, with filters; holders as far as the visitor may know."""

from __future__ import annotations

from collections import Counter

from hub_services.quota.answers import DeviceView, NodeView
from hub_services.quota.pages.visit import Visit
from hub_services.quota.words import STATES


class Holders(Visit):
    """GET: the whole inventory."""

    async def get(self) -> None:
        """Show what the filter leaves."""
        stock = await self.stock()
        flavor, state = self.get_query_argument("flavor", ""), self.get_query_argument("state", "")
        nodes = [_only(node, flavor, state) for node in stock.nodes]
        count = Counter(device.state for node in stock.nodes for device in node.devices)
        self.show_live(
            "holders.html", stock=stock, nodes=[node for node in nodes if node.devices],
            count=count, states=STATES, flavor=flavor, state=state,
        )  # fmt: skip


def _only(node: NodeView, flavor: str, state: str) -> NodeView:
    def fits(device: DeviceView) -> bool:
        return flavor in {"", device.flavor} and state in {"", device.state}

    return node.model_copy(update={"devices": [row for row in node.devices if fits(row)]})
