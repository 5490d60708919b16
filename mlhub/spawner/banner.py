"""Whether the hub's pages say that GPUs are simulated."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from mlhub.spawner.availability import Availability
from mlhub.spawner.wiring import ACTOR, QUOTA, base_path, service_token, service_url

LOOK_AGAIN_S: Final = 60.0
ASK_AGAIN_S: Final = 3.0  # after no answer: the hub may be up before the service


class Lookout:
    """Asks the quota service now and then, in the background: a page never waits for it."""

    def __init__(self) -> None:
        self._source: Availability | None = None
        self._looked_at = float("-inf")
        self._looking: asyncio.Task[Any] | None = None

    def simulated(self, config: Any) -> bool:
        """What was last heard; False before anything was."""
        if self._source is None:
            url = service_url(config, QUOTA, base_url=base_path(config))
            if not url:
                return False
            self._source = Availability(url, service_token(config, ACTOR), patience_s=1.0)
        pause = LOOK_AGAIN_S if self._source.answered else ASK_AGAIN_S
        if time.monotonic() - self._looked_at > pause:
            self._looked_at = time.monotonic()
            self._looking = asyncio.ensure_future(self._source.inventory())
        return bool(self._source.last and self._source.last.simulated)

    async def close(self) -> None:
        """Waits for the answer that is under way, and gives up the connections."""
        if self._looking is not None:
            await self._looking
        if self._source is not None:
            await self._source.close()


_lookout = Lookout()


def simulated(config: Any, _user: object) -> bool:
    """For `template_vars` of the hub: whether its GPUs are simulated, as far as it knows."""
    return _lookout.simulated(config)
