"""Another start for one who waits or whose turn has come: a free GPU, no GPU, or the granted."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote

from hub_services.quota.answers import FlavorView
from hub_services.quota.pages.visit import Form
from hub_services.quota.problems import Problem
from hub_services.quota.service import Service
from mlhub.broker.ports import ServerState
from mlhub.core.admission import judge
from mlhub.core.claims import Ask, Claim
from mlhub.core.decisions import Granted, Reason
from mlhub.core.errors import BadInput, HubRefused, HubUnavailable, NotFound
from mlhub.core.leases import Lease, LeaseStatus, Target
from mlhub.profiles import GpuAsk, instead, read_profiles

CPU: Final = "none"  # as the form calls it
STOP_PATIENCE: Final = 30.0  # seconds that a server may take to stop
UNTOUCHED: Final = "Nothing was changed: your server is as it was."
STOPPED: Final = "Your server was stopped, and nothing was started: pick in its form what to start."
FOLLOWS: Final = "It starts with its GPU by itself then."
LIMITS: Final = frozenset(
    {Reason.DEVICE_LIMIT, Reason.MEMORY_LIMIT, Reason.SERVER_LIMIT, Reason.GROUP_LIMIT}
)  # what one may hold less of once a server has stopped


def to_be_had(flavor: FlavorView, count: int) -> bool:
    """Whether the visitor could have so many of a flavor at once."""
    free = flavor.free - flavor.kept
    return flavor.now and flavor.allowed and free >= count <= flavor.max_count


Options = dict[str, Any]


def options_with(service: Service, claim: Claim) -> Callable[[GpuAsk | None], Options | None]:
    """What a claim's owner chose, with other GPUs or, by None, without: for each that is wanted.

    It is None where their environment has no such choice.
    """
    flavors = service.broker.policy.flavors_in(service.broker.hardware.last())
    try:
        profiles = read_profiles(service.profiles, flavors)
    except BadInput:
        return lambda _: None
    chosen = json.loads(claim.ask.options)
    return lambda wanted: instead(profiles, chosen, wanted, flavors)


class Switch(Form):
    """POST: start the server of a claim now, with `flavor` or with what the claim was granted.

    A server that runs is stopped for it only where the form says ``stop=yes``, and where there is
    something to start it with; else its owner is asked, or told why not. Who is refused the other
    GPU keeps the place that they have. The GPU is the visitor's own before anything is stopped, so
    that the sweep starts the server with it where the process ends on the way.
    """

    async def does(self, claim_id: str) -> None:
        """Do it, and go to the server; to its form where it has to be picked there."""
        if self.service.closing.is_set():
            text = f"mlhub is being restarted: try again in a moment. {UNTOUCHED}"
            raise Problem(503, "closing", text, "Not started", retry_after=5)
        claim = await self._own(claim_id)
        names, flavor = (claim.ask.user, claim.ask.server), self.get_body_argument("flavor", "")
        if not flavor and await self._started(claim):
            return self.redirect(self.server_url(*names), status=303)
        options = await self._options(claim, flavor, UNTOUCHED)
        if options is None:
            return self.redirect(self.spawn_url(*names), status=303)
        runs = await self.service.broker.hub.state(*names) is not ServerState.ABSENT
        if runs and self.get_body_argument("stop", "") != "yes":
            return self.back_to(f"waiting/{claim_id}?instead={quote(flavor[:100] or 'mine')}")
        await self._switch(claim, flavor, options, runs=runs)
        return self.redirect(self.server_url(*names), status=303)

    async def _switch(
        self, claim: Claim, flavor: str, options: Mapping[str, Any], *, runs: bool
    ) -> None:
        """Have what the server needs, stop what runs, and start it."""
        kept = await self._keep(claim, flavor, options, runs=runs)
        if runs:
            await self._stop(claim, kept)
        if runs and not kept:
            fresh = await self._options(await self._own(claim.id), flavor, STOPPED)
            options = options if fresh is None else fresh
        # Where it had to be stopped first, the spawner's own claim wrote down what was refused.
        first = kept is None and flavor != CPU
        try:
            await self.service.broker.hub.start(
                claim.ask.user, claim.ask.server, json.dumps(options)
            )
        except (HubRefused, HubUnavailable) as error:
            if await self._state(claim) not in {ServerState.ABSENT, None}:
                return  # it was started meanwhile, by the queue or in another tab
            if kept and flavor and not runs and isinstance(error, HubRefused):
                await self.service.broker.put_back(claim, kept.id)
            done = "was stopped, and the other was not started" if runs else "was not started"
            text = f"Your server {done}: {error} {await self._left(claim.id, kept)}"
            raise Problem(409, "not-started", text, "Not started", recorded=first) from error

    async def _keep(
        self, claim: Claim, flavor: str, options: Mapping[str, Any], *, runs: bool
    ) -> Lease | None:
        """The lease that the server is to start on, which waits for it whatever happens.

        It is None for a start without a GPU, and where a limit is in the way until the server
        that runs has given back what it holds.

        Raises:
            Problem: the GPU is refused, and nothing was touched.
        """
        broker = self.service.broker
        if not flavor:
            turn = await self._turn(claim, UNTOUCHED)
            return await broker.postpone(turn.id) if runs else turn
        if flavor == CPU:
            return None
        ask = replace(
            claim.ask, flavor=flavor, wait=False, groups=self.who.groups,
            options=json.dumps(options),
        )  # fmt: skip
        decision = await broker.claim(ask, broker.new_id(), starts=True)
        if isinstance(decision, Granted):
            return decision.lease
        if runs and decision.reason in LIMITS and await self._stopping_helps(ask):
            return None
        text = f"{getattr(decision, 'message', '')} {UNTOUCHED}"
        raise Problem(409, "not-granted", text, "Not started", recorded=True)

    async def _stopping_helps(self, ask: Ask) -> bool:
        """Whether an ask is within every limit once its server has given its GPUs back."""
        broker = self.service.broker
        ledger = await broker.store.snapshot()
        rest = {
            key: row
            for key, row in ledger.leases.items()
            if row.ask.holder != ask.holder or row.status is not LeaseStatus.ACTIVE
        }
        if len(rest) == len(ledger.leases):
            return False
        without, now = replace(ledger, leases=rest), self.service.ledger_now()
        return judge(without, broker.hardware.last(), broker.policy, ask, now) is None

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
            return options_with(self.service, claim)(None)
        rows = (await self.stock()).flavors
        if not any(row.name == flavor and to_be_had(row, claim.ask.count) for row in rows):
            raise _not("not-free", "This GPU is not free for you any more.", so_far)
        return options_with(self.service, claim)(GpuAsk(flavor, claim.ask.count))

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
        return await self._runs_on(claim.lease_id)

    async def _runs_on(self, lease_id: str) -> bool:
        lease = (await self.service.broker.store.snapshot()).leases.get(lease_id)
        return lease is not None and lease.status is LeaseStatus.ACTIVE

    async def _stop(self, claim: Claim, kept: Lease | None) -> None:
        """Have the server stopped, and wait until it is, also while the hub does not say.

        Raises:
            Problem: it takes too long, or the hub does not do it; it says what comes now.
        """
        left = FOLLOWS if kept else "Go back and try again in a moment."
        try:
            await self.service.broker.hub.stop(claim.ask.user, claim.ask.server)
        except (HubRefused, HubUnavailable) as error:
            text = f"Your server was asked to stop, and may still run: {error} {left}"
            raise Problem(503, "not-stopped", text, "Not stopped", retry_after=10) from error
        until = time.monotonic() + STOP_PATIENCE
        while (state := await self._state(claim)) is not ServerState.ABSENT:
            if kept and await self._runs_on(kept.id):
                return  # the queue was faster: what runs now is the new one
            if time.monotonic() > until:
                said = "is still stopping" if state else "was stopped; JupyterHub does not answer"
                text = f"Your server {said}. {left}"
                raise Problem(503, "still-stopping", text, "Still stopping", retry_after=10)
            await asyncio.sleep(0.5)

    async def _state(self, claim: Claim) -> ServerState | None:
        """How the claim's server stands; None where the hub does not say."""
        try:
            return await self.service.broker.hub.state(claim.ask.user, claim.ask.server)
        except (HubRefused, HubUnavailable):
            return None

    async def _left(self, claim_id: str, kept: Lease | None) -> str:
        """What the visitor still has, in words."""
        if (await self._own(claim_id)).waiting:
            return "You keep your place in the queue."
        leases = (await self.service.broker.store.snapshot()).leases
        if kept is None or kept.id not in leases:
            return ""
        return "The GPU is still kept for you, and the start is tried again by itself: see My GPUs."


def _not(kind: str, why: str, so_far: str) -> Problem:
    return Problem(409, kind, f"{why} {so_far}", "Not started")
