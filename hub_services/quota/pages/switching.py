"""Another start for one who waits or whose turn has come: a free GPU, no GPU, or the granted."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any, Final

from hub_services.quota.pages.visit import Visit
from hub_services.quota.problems import Problem
from hub_services.quota.service import Service
from mlhub.broker.ports import ServerState
from mlhub.core.claims import Claim
from mlhub.core.errors import BadInput, HubRefused, HubUnavailable, NotFound
from mlhub.profiles import GpuAsk, instead, read_profiles

CPU: Final = "none"  # as the form calls it
STOP_PATIENCE: Final = 30.0  # seconds that a server may take to stop


def options_with(service: Service, claim: Claim, wanted: GpuAsk | None) -> dict[str, Any] | None:
    """What a claim's owner chose, with other GPUs or, by None, without.

    It is None where their environment has no such choice.
    """
    flavors = service.broker.policy.flavors_in(service.broker.hardware.last())
    try:
        profiles = read_profiles(service.profiles, flavors)
    except BadInput:
        return None
    return instead(profiles, json.loads(claim.ask.options), wanted, flavors)


class Switch(Visit):
    """POST: start the server of a claim now, with `flavor` or with what the claim was granted.

    A server that runs is stopped for it only where the form says ``stop=yes``; else its owner is
    asked. Who is refused the other GPU keeps the place that they have.
    """

    async def post(self, claim_id: str) -> None:
        """Do it, and go to the server; to its form where it has to be picked there."""
        claim = await self.service.broker.find_claim(claim_id)
        if not self.who.is_user(claim.ask.user):
            raise NotFound("there is no such claim, or it is long over")
        flavor = self.get_body_argument("flavor", "")[:100]
        options = self._options(claim, flavor)
        if options is None:
            return self.redirect(self.spawn_url(claim.ask.user, claim.ask.server), status=303)
        if not await self._may_start(claim):
            return self.back_to(f"waiting/{claim_id}?instead={flavor or 'mine'}")
        await self._start(claim, options)
        return self.redirect(self.server_url(claim.ask.user, claim.ask.server), status=303)

    def _options(self, claim: Claim, flavor: str) -> Mapping[str, Any] | None:
        if not flavor:
            return dict(json.loads(claim.ask.options))
        wanted = None if flavor == CPU else GpuAsk(flavor, claim.ask.count)
        return options_with(self.service, claim, wanted)

    async def _may_start(self, claim: Claim) -> bool:
        """Whether the server is not running: now, or since its owner had it stopped."""
        if await self._state(claim) is ServerState.ABSENT:
            return True
        if self.get_body_argument("stop", "") != "yes":
            return False
        await self.service.broker.hub.stop(claim.ask.user, claim.ask.server)
        until = time.monotonic() + STOP_PATIENCE
        while await self._state(claim) is not ServerState.ABSENT:
            if time.monotonic() > until:
                text = "Your server is still stopping. Go back and try again in a moment."
                raise Problem(503, "still-stopping", text, "Still stopping", retry_after=10)
            await asyncio.sleep(0.5)
        return True

    async def _state(self, claim: Claim) -> ServerState:
        return await self.service.broker.hub.state(claim.ask.user, claim.ask.server)

    async def _start(self, claim: Claim, options: Mapping[str, Any]) -> None:
        try:
            await self.service.broker.hub.start(
                claim.ask.user, claim.ask.server, json.dumps(options)
            )
        except (HubRefused, HubUnavailable) as error:
            if await self._state(claim) is not ServerState.ABSENT:
                return  # it was started meanwhile, by the queue or in another tab
            text = f"Your server was not started: {error} You keep your place in the queue."
            raise Problem(409, "not-started", text, "Not started") from error
