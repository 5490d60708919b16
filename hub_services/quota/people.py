"""Whether the hub still has a user: asked once in a while for the many streams that they have."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from mlhub.broker.ports import HubPort
from mlhub.core.errors import HubRefused, HubUnavailable

MOST_KEPT: Final = 10_000  # users remembered, before those that count no more are dropped


class People:
    """Remembers for some minutes whom the hub has.

    Args:
        monotonic: seconds of a clock that nobody sets.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._until: dict[str, float] = {}

    async def has(self, hub: HubPort, name: str, *, keep: float) -> bool:
        """Whether the hub has that user; True where it does not say.

        Args:
            hub: who is asked.
            name: the user.
            keep: seconds that the answer counts, where it has them.
        """
        if self._until.get(name, 0.0) > self._monotonic():
            return True
        try:
            there = await hub.user(name) is not None
        except (HubUnavailable, HubRefused):
            return True
        if there:
            self._remember(name, keep)
        return there

    def _remember(self, name: str, keep: float) -> None:
        now = self._monotonic()
        if len(self._until) >= MOST_KEPT:
            self._until = {key: until for key, until in self._until.items() if until > now}
        self._until[name] = now + keep
