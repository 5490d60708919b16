"""The sweep: look at the world, move every lease one step, serve the queue, do what follows."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import compress
from typing import Final

from mlhub.broker.broker import Broker, Decided
from mlhub.broker.hardware import FRESH
from mlhub.broker.ports import ServerState
from mlhub.broker.stepping import Moved, Sight, look_at, move_all
from mlhub.broker.troubles import Troubles
from mlhub.core.admission import flavor_of
from mlhub.core.devices import Inventory
from mlhub.core.errors import HubRefused, HubUnavailable, NotFound
from mlhub.core.leases import EndReason, Lease, LeaseStatus, Target
from mlhub.core.ledger import Changes, Ledger
from mlhub.core.lifecycle import Effect, Observation, Presence, Step
from mlhub.core.quantities import format_duration
from mlhub.core.quotas import check

log = logging.getLogger(__name__)
FORGET_EVERY: Final = 600.0  # seconds
HUB_PATIENCE: Final = 2.0  # seconds that a sweep waits for the hub, however many it asks about
DENIED_MEMORY: Final = timedelta(hours=1)  # a denied claim changed nothing: it may be asked anew


class Sweep:
    """Leads the ledger to the truth. It may run twice, be interrupted, or start from any state."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self._busy: set[tuple[str, Effect]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._troubles = Troubles(broker.notifier)
        self._offered: set[str] = set()  # leases whose owner was told to switch to them
        self._forget_next = broker.clock.monotonic()
        self._shown: tuple[object, ...] | None = None

    async def once(self) -> list[Step]:
        """One sweep; what it asks of the hub goes on behind it."""
        broker = self.broker
        begun = broker.clock.monotonic()
        inventory = await broker.hardware.inventory(within=FRESH)
        leases = list((await broker.store.snapshot()).leases.values())
        sight = await self._sight(leases)

        def decide(ledger: Ledger, now: datetime) -> Decided[Moved]:
            moved = move_all(
                ledger, sight, inventory, broker.policy,
                now=now, monotonic=broker.clock.monotonic(), new_id=broker.new_id,
            )  # fmt: skip
            return moved, moved.changes + self._forget(now, begun)

        moved = await broker.transact(decide)
        if begun >= self._forget_next:
            self._forget_next = begun + FORGET_EVERY
        # What has no line in the audit, such as use billed so far, changes nothing on any page.
        seen = [step.lease for step in moved.steps if step.changes.audit]
        self._offered.intersection_update(lease.id for lease in leases)
        broker.announce([*moved.granted, *seen])
        self._announce_hardware(inventory)
        self._troubles.tell(leases, broker.hardware.last())
        for step in moved.steps:
            for effect in step.effects:
                self._run(step.lease, effect)
        return moved.steps

    def _announce_hardware(self, inventory: Inventory) -> None:
        """Tell the pages what no lease brought about: a GPU that fails, a driver that is silent."""
        shown = (inventory.nodes, inventory.devices, inventory.problem)
        if self._shown not in (None, shown):
            self.broker.notifier.changed("inventory")
        self._shown = shown

    async def settle(self) -> None:
        """Wait for what the sweeps asked of the world."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _sight(self, leases: list[Lease]) -> Sight:
        sight = await look_at(leases, self.broker.holders, self.broker.clock)
        seen = dict(sight.seen)
        unseen = [
            lease
            for lease in leases
            if lease.status is LeaseStatus.ENDING
            and not lease.holder
            and seen[lease.id].presence is Presence.GONE
        ]
        coming = await asyncio.gather(*map(self._may_come, unseen))
        for lease in compress(unseen, coming):
            seen[lease.id] = Observation(Presence.UNKNOWN)
        return replace(sight, seen=seen)

    async def _may_come(self, lease: Lease) -> bool:
        """Whether the hub may still be about to start the holder of a lease that is to end."""
        try:
            async with asyncio.timeout(HUB_PATIENCE):
                state = await self.broker.hub.state(lease.ask.user, lease.ask.server)
        except (HubUnavailable, HubRefused, TimeoutError):
            return True
        return state is ServerState.STARTING

    def _forget(self, now: datetime, begun: float) -> Changes:
        if begun < self._forget_next:
            return Changes()
        memory = self.broker.policy.answer_memory
        return Changes(forget=now - memory, forget_denied=now - min(memory, DENIED_MEMORY))

    def _run(self, lease: Lease, effect: Effect) -> None:
        """Do one thing in the background; the same thing is not begun twice."""
        if (lease.id, effect) in self._busy:
            return
        self._busy.add((lease.id, effect))
        task = asyncio.create_task(self._do(lease, effect))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _do(self, lease: Lease, effect: Effect) -> None:
        does = {
            Effect.START: self._start_or_postpone,
            Effect.STOP: self._stop,
            Effect.KILL: self.broker.holders.kill,
            Effect.WARN: self._warn,
            Effect.REASSURE: self._reassure,
        }
        try:
            await does[effect](lease)
        except (HubUnavailable, HubRefused, NotFound) as error:
            log.warning("could not %s lease %s: %s", effect, lease.id, error)
        except Exception:
            log.exception("could not %s lease %s", effect, lease.id)
        finally:
            self._busy.discard((lease.id, effect))

    async def _start_or_postpone(self, lease: Lease) -> None:
        try:
            await self._start(lease)
        except HubUnavailable:
            await self.broker.postpone(lease.id)
            raise

    async def _start(self, lease: Lease) -> None:
        """Start the server of a lease whose turn has come, if its user still may have it."""
        ask, broker = lease.ask, self.broker
        if broker.hardware.last().unread:
            await broker.postpone(lease.id)
            return
        user = await broker.hub.user(ask.user)
        refusal = (
            "the user no longer exists" if user is None else await self._over(lease, user.groups)
        )
        if refusal:
            await broker.release(lease.id, by="broker", why=refusal, reason=EndReason.NOT_ALLOWED)
            return
        state = await broker.hub.state(ask.user, ask.server)
        if state is not ServerState.ABSENT:
            # Once nothing runs under that name any more, there is something to try.
            await broker.give_back_try(lease.id)
            if state is ServerState.READY:
                self._offer(lease)
            return
        if not await self._still_held(lease):
            return
        try:
            await broker.hub.start(ask.user, ask.server, ask.options)
        except HubRefused as error:
            await self._not_started(lease, error)

    def _offer(self, lease: Lease) -> None:
        """Tell once that the GPU is there for one whose server runs already."""
        if lease.id not in self._offered:
            self._offered.add(lease.id)
            text = "Your GPU is ready. Your server runs already: switch to it when it suits you."
            self.broker.notifier.tell(lease.ask.user, "switch-offer", text, lease.id)

    async def _not_started(self, lease: Lease, error: HubRefused) -> None:
        """Tell who waited why their server was not started; who may not have it is passed over."""
        broker, text = self.broker, f"your server could not be started: {error}"
        if error.under_way or not await self._still_held(lease):
            return
        if error.barred:
            await broker.release(lease.id, by="broker", why=text, reason=EndReason.NOT_ALLOWED)
        else:
            told = f"Your turn has come, but {text}"
            broker.notifier.tell(lease.ask.user, "start-refused", told, lease.id)

    async def _still_held(self, lease: Lease) -> bool:
        """Whether the lease still waits for its holder, after all that was asked meanwhile."""
        current = (await self.broker.store.snapshot()).leases.get(lease.id)
        return (
            current is not None
            and current.status is LeaseStatus.HELD
            and current.target is Target.ACTIVE
        )

    async def _over(self, lease: Lease, groups: tuple[str, ...]) -> str:
        """Why the user may not have the lease any more, by the groups of today; else ""."""
        ledger = await self.broker.store.snapshot()
        others = {key: row for key, row in ledger.leases.items() if key != lease.id}
        flavor = flavor_of(self.broker.policy, self.broker.hardware.last(), lease.ask.flavor)
        if flavor is None:
            return "this kind of GPU is no longer offered"
        ask = replace(lease.ask, groups=groups)
        now = self.broker.outlook.now(ledger)
        denied = check(replace(ledger, leases=others), self.broker.policy, ask, flavor, now)
        return denied.message if denied else ""

    async def _stop(self, lease: Lease) -> None:
        """Ask the hub to stop the server, if it is the one that holds this lease.

        While a lease with a holder lives, its holder is the server of that name. One without was
        never started, and whatever runs under that name is none of its business. Nor is a server
        that was started again under another lease, while something of the old one lives on.
        """
        ledger = await self.broker.store.snapshot()
        heirs = (
            row
            for row in ledger.leases.values()
            if row.ask.holder == lease.ask.holder
            and row.holder
            and row.granted_at > lease.granted_at
        )
        if lease.holder and not any(heirs):
            await self.broker.hub.stop(lease.ask.user, lease.ask.server)

    async def _warn(self, lease: Lease) -> None:
        notice = format_duration(self.broker.policy.notice)
        text = f"Someone waits for this GPU: your server stops in {notice}. Save your work."
        self.broker.notifier.tell(lease.ask.user, "ending", text, lease.id)

    async def _reassure(self, lease: Lease) -> None:
        text = "Nobody waits for this GPU any more: your server goes on."
        self.broker.notifier.tell(lease.ask.user, "goes-on", text, lease.id)
