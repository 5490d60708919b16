"""Whether servers run, by the hub's word: asked once for the many looks of an open page."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from mlhub.broker.ports import HubPort, ServerState
from mlhub.core.errors import HubRefused, HubUnavailable

FRESH: Final = 5.0  # seconds that an answer counts
MOST_KEPT: Final = 10_000  # answers kept, before those that count no more are dropped
Server = tuple[str, str]


class Running:
    """Remembers for some seconds which servers run.

    Args:
        monotonic: seconds of a clock that nobody sets.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._known: dict[Server, tuple[float, str, bool]] = {}

    async def runs(
        self, hub: HubPort, server: Server, *, standing: str, anew: bool = False
    ) -> bool:
        """Whether a server is up; False where the hub does not say.

        Args:
            hub: who is asked.
            server: its user and its name.
            standing: how the asker's claim stands; another one than before asks the hub anew.
            anew: ask the hub whatever is remembered.
        """
        at, then, up = self._known.get(server, (0.0, "", False))
        if then == standing and self._monotonic() - at < FRESH and not anew:
            return up
        try:
            up = await hub.state(*server) is ServerState.READY
        except (HubUnavailable, HubRefused):
            up = False
        self._keep(server, standing, up)
        return up

    def _keep(self, server: Server, standing: str, up: bool) -> None:
        now = self._monotonic()
        if len(self._known) >= MOST_KEPT:
            self._known = {key: row for key, row in self._known.items() if now - row[0] < FRESH}
        self._known[server] = (now, standing, up)
