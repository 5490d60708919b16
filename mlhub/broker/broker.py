"""The broker: what may be asked of the ledger, each in one transaction."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

from mlhub.broker.asking import Asked, put_back, settled, take_down, without_spent_options
from mlhub.broker.hardware import Hardware
from mlhub.broker.outlook import Outlook
from mlhub.broker.ports import Clock, HolderSource, HubPort, Notifier, Store
from mlhub.broker.refusals import Refusals
from mlhub.broker.stepping import look_at, step_all
from mlhub.core import leases as transitions
from mlhub.core.admission import admit_all, pressure
from mlhub.core.claims import Ask, Claim, ClaimState
from mlhub.core.decisions import Decision
from mlhub.core.errors import NotFound
from mlhub.core.leases import EndReason, Lease, LeaseStatus
from mlhub.core.ledger import Anchor, AuditRecord, Changes, Ledger, shift, step_of, step_record
from mlhub.core.lifecycle import Presence, Step
from mlhub.core.policy import Policy
from mlhub.core.renewing import Renewal, renew

log = logging.getLogger(__name__)
T = TypeVar("T")
Decided = tuple[T, Changes]
CLOCK_TOLERANCE = timedelta(seconds=5)


class Broker:
    """Decides claims and leads leases to their end.

    Every method is safe to repeat. Between two calls nothing is kept but what the store has and
    the last inventory.

    Raises (all methods):
        LedgerUnavailable: nothing was changed; ask again, a claim with the same key.
        NotOwner: another process owns the ledger now; this one has to go.
    """

    def __init__(
        self,
        *,
        store: Store,
        hardware: Hardware,
        holders: HolderSource,
        hub: HubPort,
        notifier: Notifier,
        clock: Clock,
        policy: Policy,
        new_id: Callable[[], str],
    ) -> None:
        self.store = store
        self.hardware = hardware
        self.holders = holders
        self.hub = hub
        self.notifier = notifier
        self.clock = clock
        self.policy = policy
        self.new_id = new_id
        self.outlook = Outlook(hardware, policy, clock)
        self.refusals = Refusals(clock.monotonic)

    async def transact(
        self, decide: Callable[[Ledger, datetime], Decided[T]], *, always: bool = False
    ) -> T:
        """One transaction of the ledger, in ledger time.

        A step of the wall clock since the last commit moves every running window with it, so that
        none is cut short and none lasts longer; it is logged and leaves an audit record.

        Args:
            decide: from the ledger as it is and the time to a value and the changes.
            always: whether to commit also where nothing changes.
        """

        def within(ledger: Ledger, clock: Anchor) -> Decided[T]:
            step = step_of(ledger.anchor, clock, CLOCK_TOLERANCE)
            stepped = _stepped(ledger, clock, step) if step else Changes()
            if stepped:
                ledger = ledger.apply(stepped)
            value, changes = decide(ledger, clock.wall)
            changes = stepped + without_spent_options(changes, ledger)
            return value, changes + Changes(anchor=clock) if changes or always else changes

        return await self.store.update(within)

    async def prove(self) -> None:
        """Write the time down, so that a ledger that takes nothing is found before it is needed."""
        await self.transact(lambda _ledger, _now: (None, Changes()), always=True)

    async def claim(self, ask: Ask, key: str, *, starts: bool = False) -> Decision:
        """Decide an ask: granted now, queued if it may wait, or denied with the reason.

        The same key always means the same claim: a repeat is told how that claim stands.

        Args:
            ask: what is asked for.
            key: names the claim.
            starts: the caller starts the server itself in a moment; where it does not, because it
                is cut short, the sweep does, as for one who has waited.

        Raises:
            Conflict: the key was used for another ask.
        """
        inventory = await self.hardware.inventory()
        await self._look_after(ask)
        with self.refusals.refusal() as refusal:
            asked = Asked(ask, key, inventory, self.policy, self.new_id, refusal, starts)

            def decide(ledger: Ledger, now: datetime) -> Decided[Decided[Claim]]:
                claim, changes = take_down(asked, ledger, now)
                return (claim, changes), changes

            claim, changes = await self.transact(decide)
        self._announce(changes.leases)
        after = {row.id: row for row in changes.claims}.values()
        if any(row.waiting or row.id != claim.id for row in after):
            self.notifier.changed("queue")
        return await self.standing(claim)

    async def standing(self, claim: Claim) -> Decision:
        """How a claim stands now."""
        ledger = await self.store.snapshot()
        current = ledger.claims.get(claim.id, claim)
        return settled(current, ledger) or self.outlook.place_of(current, ledger)

    async def find_claim(self, claim_id: str) -> Claim:
        """A claim that is in the ledger.

        Raises:
            NotFound: there is none, or it ended longer ago than answers are remembered.
        """
        ledger = await self.store.snapshot()
        if claim_id not in ledger.claims:
            raise NotFound("there is no such claim, or it is long over")
        return ledger.claims[claim_id]

    async def cancel(self, claim_id: str, *, by: str, why: str = "") -> Claim:
        """Leave the queue; a claim that no longer waits stays as it is.

        Raises:
            NotFound: there is no such claim.
        """

        def decide(ledger: Ledger, now: datetime) -> Decided[Claim]:
            claim = ledger.claims.get(claim_id)
            if claim is None:
                raise NotFound("there is no such claim, or it is long over")
            if not claim.waiting:
                return claim, Changes()
            why_text = why or "it was taken out of the queue"
            over = replace(
                claim, state=ClaimState.CANCELLED, decided_at=now, why=why_text, blocked=""
            )
            record = AuditRecord(now, by, "cancelled", claim.id, claim.ask.user, why_text)
            return over, Changes(claims=(over,), audit=(record,))

        claim = await self.transact(decide)
        await self.serve_queue()
        self.notifier.changed("queue", claim.ask.user)
        return claim

    async def put_back(self, claim: Claim, lease_id: str) -> None:
        """Let a claim wait in its place again, that was left for a lease which came to nothing.

        The lease ends. Nothing changes where a server runs on it, or where the claim's holder
        waits for something else by now.

        Args:
            claim: as it was while it waited.
            lease_id: what was granted in its place.
        """

        def decide(ledger: Ledger, now: datetime) -> Decided[Changes]:
            changes = put_back(claim, lease_id, ledger, now)
            return changes, changes

        changes = await self.transact(decide)
        if changes:
            await self.serve_queue()
            self._announce(changes.leases)
            self.notifier.changed("queue", claim.ask.user)

    async def attach(self, lease_id: str, *, holder: str, age: timedelta) -> Lease:
        """The holder of a lease runs, and has run for `age`.

        Raises:
            NotFound: there is no such lease.
            Conflict: it is over, or has another holder; the caller must end the process.
        """
        lease, _ = await self._change(
            lease_id,
            "active",
            lambda lease, now: transitions.attach(lease, holder=holder, started_at=now - age),
        )
        return lease

    async def use(self, lease_id: str) -> Lease:
        """The owner made a first request of their own: the claim window is closed.

        Raises:
            NotFound: there is no such lease.
        """
        lease, _ = await self._change(lease_id, "used", transitions.use)
        return lease

    async def renew(self, lease_id: str, duration: timedelta, *, by: str) -> Renewal:
        """Let it end `duration` from now, where nobody waits for it: what came of that.

        Raises:
            NotFound: there is no such lease.
            Conflict: it is over.
        """
        inventory = self.hardware.last()

        def decide(ledger: Ledger, now: datetime) -> Decided[Renewal]:
            lease = _live(ledger, lease_id)
            pressing = pressure(ledger, inventory, self.policy, lease.ask.flavor, now)
            limit = self.policy.limit_for(lease.ask.user, lease.ask.groups).duration
            renewal = renew(lease, duration, now, longest=limit, waiting=pressing.on(lease))
            return renewal, _record(lease, renewal.lease, now, "renewed", by)[1]

        renewal = await self.transact(decide)
        self.notifier.changed("leases", renewal.lease.ask.user)
        return renewal

    async def release(
        self,
        lease_id: str,
        *,
        by: str,
        why: str = "",
        reason: EndReason = EndReason.RELEASED,
    ) -> Lease:
        """End a lease. Its devices are free when its holder's end was observed: see `status`.

        Raises:
            NotFound: there is no such live lease.
        """
        lease, ended_now = await self._change(
            lease_id, "ending", lambda row, _: transitions.end(row, reason, by=by, why=why), by=by
        )
        if ended_now and why and by != lease.ask.user:
            self.notifier.tell(lease.ask.user, "released", why, lease.id)
        return lease

    async def serve_queue(self) -> list[Lease]:
        """Grant what can be granted to those who wait; the leases that were made."""
        if not (await self.store.snapshot()).waiting():
            return []
        inventory = await self.hardware.inventory()

        def decide(ledger: Ledger, now: datetime) -> Decided[list[Lease]]:
            changes = admit_all(ledger, inventory, self.policy, now, self.new_id)
            return list(changes.leases), changes

        made = await self.transact(decide)
        self.announce(made)
        return made

    def announce(self, leases: Iterable[Lease]) -> None:
        """Tell the pages that these leases changed, and with them the queue and what is free."""
        if self._announce(leases):
            self.notifier.changed("queue")

    def _announce(self, leases: Iterable[Lease]) -> bool:
        """Tell whose leases changed and what is free; whether there are any."""
        users = {lease.ask.user for lease in leases}
        for user in users:
            self.notifier.changed("leases", user)
        if users:
            self.notifier.changed("inventory")
        return bool(users)

    async def _look_after(self, ask: Ask) -> None:
        """A holder that asks again has ended before: see that at once instead of at the sweep."""
        ledger = await self.store.snapshot()
        own = [row for row in ledger.leases.values() if row.ask.holder == ask.holder and row.holder]
        if own:
            await self.observe_now(own)

    async def refused(self, actor: str, subject: str, why: str, *, kind: str) -> None:
        """Somebody asked for what is not to be; nothing is changed but the audit.

        The same again within a minute is only counted: see `record_refusals`.

        Args:
            actor: who asked.
            subject: for what.
            why: the reason as they were told.
            kind: a word for it.
        """
        now = self.clock.now()
        record = AuditRecord(now, actor, "refused", subject, detail=why)
        with self.refusals.refusal() as refusal:
            noted = refusal.note(record, f"{subject} {kind}")
            if noted:
                await self.transact(lambda _, at: (None, Changes(audit=(replace(record, at=at),))))

    async def record_refusals(self, *, all_of_them: bool = False) -> None:
        """Write down how often was refused again what was refused before, minute by minute."""
        due = self.refusals.due(all_of_them=all_of_them)
        if due:
            await self.transact(
                lambda _, at: (None, Changes(audit=tuple(row.record(at) for row in due)))
            )
            self.refusals.recorded(due)

    async def observe_now(self, leases: list[Lease]) -> list[Lease]:
        """Look at the holders of these leases now, and free what is no longer held.

        What a lease asks of the world is left to the sweep, which does it. Those that changed
        are answered, as they are now.
        """
        sight = await look_at(leases, self.holders, self.clock)
        held = {lease.id for lease in leases if lease.status is LeaseStatus.HELD}
        gone = {
            key: look
            for key, look in sight.seen.items()
            if look.presence is Presence.GONE and key not in held
        }

        def decide(ledger: Ledger, now: datetime) -> Decided[list[Step]]:
            return step_all(
                ledger, replace(sight, seen=gone), self.hardware.last(), self.policy,
                now=now, monotonic=self.clock.monotonic(),
            )  # fmt: skip

        if not gone:
            return []
        changed = [step.lease for step in await self.transact(decide) if step.changes]
        self.announce(changed)
        return changed

    async def postpone(self, lease_id: str) -> Lease:
        """The hub could not be asked to start a server: that costs its owner neither try nor time.

        Raises:
            NotFound: there is no such lease.
        """
        return await self._not_tried(lease_id, self.policy.start_timeout)

    async def give_back_try(self, lease_id: str) -> Lease:
        """There was nothing to start yet: that costs no try, and the time goes on.

        Raises:
            NotFound: there is no such lease.
        """
        return await self._not_tried(lease_id, timedelta(0))

    async def _not_tried(self, lease_id: str, patience: timedelta) -> Lease:
        """One try less counts, and it may start for so long at least."""

        def decide(ledger: Ledger, now: datetime) -> Decided[Lease]:
            lease = _live(ledger, lease_id)
            if lease.status is not LeaseStatus.HELD:
                return lease, Changes()
            until = max(lease.start_by, now + patience) if patience else lease.start_by
            later = replace(lease, starts=max(0, lease.starts - 1), start_by=until)
            return later, Changes(leases=(later,) if later != lease else ())

        return await self.transact(decide)

    async def _change(
        self,
        lease_id: str,
        action: str,
        transition: Callable[[Lease, datetime], Lease],
        *,
        by: str = "broker",
    ) -> tuple[Lease, bool]:
        """The lease as it is then, and whether that is new."""

        def decide(ledger: Ledger, now: datetime) -> Decided[tuple[Lease, bool]]:
            lease = _live(ledger, lease_id)
            after, changes = _record(lease, transition(lease, now), now, action, by)
            return (after, bool(changes)), changes

        lease, changed = await self.transact(decide)
        if changed:
            self.notifier.changed("leases", lease.ask.user)
        return lease, changed


def _stepped(ledger: Ledger, clock: Anchor, step: timedelta) -> Changes:
    seconds = round(step.total_seconds())
    log.warning("the clock was stepped by %d s; every running window moves with it", seconds)
    record = step_record(step, clock.wall)
    return shift(ledger, step) + Changes(audit=(record,), anchor=clock)


def _live(ledger: Ledger, lease_id: str) -> Lease:
    if lease_id not in ledger.leases:
        raise NotFound("there is no such lease, or it has ended")
    return ledger.leases[lease_id]


def _record(before: Lease, after: Lease, now: datetime, action: str, by: str) -> Decided[Lease]:
    """The change and its audit record; nothing where nothing changed."""
    if after == before:
        return after, Changes()
    record = AuditRecord(now, by, action, after.id, after.ask.user, after.why)
    return after, Changes(leases=(after,), audit=(record,))
