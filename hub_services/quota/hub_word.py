"""What the hub said of users and servers: asked once in a while for many looks and streams."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from mlhub.broker.ports import HubPort, ServerState
from mlhub.core.errors import HubRefused, HubUnavailable

FRESH: Final = 5.0  # seconds that it counts whether a server runs
MOST_KEPT: Final = 10_000  # answers kept, before those that count no more are dropped
Server = tuple[str, str]


class HubWord:
    """Remembers for a while whom the hub has, and which servers run.

    Args:
        monotonic: seconds of a clock that nobody sets.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._said: dict[tuple[str, ...], tuple[float, str, bool]] = {}

    async def has(self, hub: HubPort, user: str, *, keep: float) -> bool:
        """Whether the hub has that user; True where it does not say.

        Args:
            hub: who is asked.
            user: the name.
            keep: seconds that the answer counts.
        """
        known = self._known((user,))
        if known is not None:
            return known
        try:
            there = await hub.user(user) is not None
        except (HubUnavailable, HubRefused):
            there = True
        return self._keep((user,), keep if there else 0.0, there)

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
        known = None if anew else self._known(server, standing)
        if known is not None:
            return known
        try:
            up = await hub.state(*server) is ServerState.READY
        except (HubUnavailable, HubRefused):
            up = False
        return self._keep(server, FRESH, up, standing)

    def _known(self, key: tuple[str, ...], standing: str = "") -> bool | None:
        until, then, answer = self._said.get(key, (0.0, "", False))
        return answer if then == standing and self._monotonic() < until else None

    def _keep(self, key: tuple[str, ...], seconds: float, answer: bool, standing: str = "") -> bool:
        now = self._monotonic()
        if len(self._said) >= MOST_KEPT:
            self._said = {name: row for name, row in self._said.items() if row[0] > now}
        self._said[key] = (now + seconds, standing, answer)
        return answer
