"""Another start for one who waits or whose turn has come: a free GPU, no GPU, or the granted."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from hub_services.quota.answers import FlavorView
from hub_services.quota.pages.visit import Form
from hub_services.quota.problems import Problem
from hub_services.quota.service import Service
from mlhub.broker.ports import ServerState
from mlhub.core.claims import Claim
from mlhub.core.errors import BadInput, HubRefused, HubUnavailable, NotFound
from mlhub.core.leases import Lease, LeaseStatus, Target
from mlhub.profiles import GpuAsk, instead, read_profiles

CPU: Final = "none"  # as the form calls it
STOP_PATIENCE: Final = 30.0  # seconds that a server may take to stop
UNTOUCHED: Final = "Nothing was changed: your server is as it was."
STOPPED: Final = "Your server was stopped, and nothing was started: pick in its form what to start."


def to_be_had(flavor: FlavorView, count: int) -> bool:
    """Whether the visitor could have so many of a flavor at once."""
    free = flavor.free - flavor.kept
    return flavor.now and flavor.allowed and free >= count <= flavor.max_count


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


class Switch(Form):
    """POST: start the server of a claim now, with `flavor` or with what the claim was granted.

    A server that runs is stopped for it only where the form says ``stop=yes``, and where there is
    something to start it with; else its owner is asked, or told why not. Who is refused the other
    GPU keeps the place that they have.
    """

    async def does(self, claim_id: str) -> None:
        """Do it, and go to the server; to its form where it has to be picked there."""
        claim = await self._own(claim_id)
        names, flavor = (claim.ask.user, claim.ask.server), self.get_body_argument("flavor", "")
        if not flavor and await self._started(claim):
            return self.redirect(self.server_url(*names), status=303)
        options = await self._options(claim, flavor, UNTOUCHED)
        if options is not None and await self._state(claim) is not ServerState.ABSENT:
            if self.get_body_argument("stop", "") != "yes":
                return self.back_to(f"waiting/{claim_id}?instead={quote(flavor[:100] or 'mine')}")
            await self._stop(claim)
            options = await self._options(await self._own(claim_id), flavor, STOPPED)
        if options is None:
            return self.redirect(self.spawn_url(*names), status=303)
        await self._start(claim, options)
        return self.redirect(self.server_url(*names), status=303)

    async def _own(self, claim_id: str) -> Claim:
        """The visitor's claim.

        Raises:
            NotFound: it is somebody else's, or there is none.
        """
        claim = await self.service.broker.find_claim(claim_id)
        if not self.who.is_user(claim.ask.user):
            raise NotFound("there is no such claim, or it is long over")
        return claim

    async def _options(self, claim: Claim, flavor: str, so_far: str) -> Mapping[str, Any] | None:
        """What the server is to be started with; None where it has to be picked in its form.

        Raises:
            Problem: there is nothing (any more) to start it with; it says so, and with `so_far`
                what has become of the server until now.
        """
        if not flavor:
            return dict(json.loads((await self._turn(claim, so_far)).ask.options))
        if not claim.waiting:
            raise _not("not-waiting", "You do not wait for a GPU any more.", so_far)
        if flavor == CPU:
            return options_with(self.service, claim, None)
        rows = (await self.stock()).flavors
        if not any(row.name == flavor and to_be_had(row, claim.ask.count) for row in rows):
            raise _not("not-free", "This GPU is not free for you any more.", so_far)
        return options_with(self.service, claim, GpuAsk(flavor, claim.ask.count))

    async def _turn(self, claim: Claim, so_far: str) -> Lease:
        """What the claim was granted, while its server may be started with it.

        Raises:
            Problem: it may not: the turn is over, or has not come.
        """
        scene = await self.service.look()
        lease = scene.ledger.leases.get(claim.lease_id)
        open_ = lease is not None and lease.target is Target.ACTIVE
        if lease and open_ and (lease.status is LeaseStatus.ACTIVE or scene.now < lease.start_by):
            return lease
        if claim.waiting:
            raise _not("not-your-turn", "It is not your turn yet.", so_far)
        raise _not("turn-over", "Your turn is over: the GPU is not kept for you any more.", so_far)

    async def _started(self, claim: Claim) -> bool:
        """Whether the server runs already with what the claim was granted."""
        lease = (await self.service.broker.store.snapshot()).leases.get(claim.lease_id)
        return lease is not None and lease.status is LeaseStatus.ACTIVE

    async def _stop(self, claim: Claim) -> None:
        """Have the server stopped, and wait until it is.

        Raises:
            Problem: it takes too long.
        """
        await self.service.broker.hub.stop(claim.ask.user, claim.ask.server)
        until = time.monotonic() + STOP_PATIENCE
        while await self._state(claim) is not ServerState.ABSENT:
            if time.monotonic() > until:
                text = "Your server is still stopping. Go back and try again in a moment."
                raise Problem(503, "still-stopping", text, "Still stopping", retry_after=10)
            await asyncio.sleep(0.5)

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
            text = f"Your server was not started: {error} {await self._left(claim.id)}"
            raise Problem(409, "not-started", text, "Not started") from error

    async def _left(self, claim_id: str) -> str:
        """What the visitor still has of their claim, in words."""
        claim = await self._own(claim_id)
        if claim.waiting:
            return "You keep your place in the queue."
        held = claim.lease_id in (await self.service.broker.store.snapshot()).leases
        return "The GPU is still kept for you: go back and try again." if held else ""


def _not(kind: str, why: str, so_far: str) -> Problem:
    return Problem(409, kind, f"{why} {so_far}", "Not started")
