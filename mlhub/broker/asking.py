"""How one ask goes into the ledger, and what a claim's owner is told of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Final

from mlhub.broker.refusals import Refusal
from mlhub.core.admission import (
    admit,
    flavor_of,
    judge,
    no_room,
    queue_forecasts,
    supply,
)
from mlhub.core.claims import Ask, Claim, ClaimState
from mlhub.core.decisions import Denied, Granted, Reason
from mlhub.core.devices import Inventory
from mlhub.core.errors import Conflict, InventoryUnavailable
from mlhub.core.leases import EndReason, Lease, LeaseStatus, Target, end
from mlhub.core.ledger import AuditRecord, Changes, Ledger
from mlhub.core.policy import Policy

SHORT: Final = 1024  # characters of options that are kept as they are: a form's are fewer


@dataclass(frozen=True, slots=True)
class Asked:
    """An ask with all that is needed to decide it, and what it becomes if it is refused."""

    ask: Ask
    key: str
    inventory: Inventory
    policy: Policy
    new_id: Callable[[], str]
    refusal: Refusal
    starts: bool = False


def take_down(asked: Asked, ledger: Ledger, now: datetime) -> tuple[Claim, Changes]:
    """Decide an ask in one transaction; the claim says what came of it.

    Raises:
        Conflict: the key came before, with another ask.
        InventoryUnavailable: the GPUs have not answered yet, so nobody can say what there is.
    """
    asked.refusal.withdraw()  # this decision may be made a second time
    repeated = ledger.claim_by_key(asked.ask.user, asked.key)
    if repeated:
        if not _same(repeated.ask, asked.ask):
            raise Conflict("this Idempotency-Key was used for another claim; use a new one")
        return repeated, Changes()
    started = _kept_for(asked, ledger)
    if started:
        return _joined(asked, ledger, started, now)
    _need_a_look(asked.inventory)
    former = next((row for row in ledger.waiting() if row.ask.holder == asked.ask.holder), None)
    replaced = _replaced(former, now) + _given_up(asked.ask, ledger, now)
    without = ledger.apply(replaced) if replaced else ledger
    denied = judge(without, asked.inventory, asked.policy, asked.ask, now) or _patience(
        asked, without
    )
    claim, changes = (
        _refused(asked, denied, now) if denied else _queued(asked, without, former, now)
    )
    # One who is refused something else keeps the place or the turn that they have.
    kept = claim.state is ClaimState.DENIED
    return claim, changes if kept else replaced + changes


def _need_a_look(inventory: Inventory) -> None:
    """Decide nothing before the GPUs were seen once: a flavor that is not seen is not unknown.

    Raises:
        InventoryUnavailable: they were not.
    """
    if inventory.unread:
        why = inventory.problem.rstrip(".")
        raise InventoryUnavailable(
            f"the GPUs have not answered since the service started, so nothing is given out yet "
            f"({why}); ask again in a moment"
        )


def _same(kept: Ask, given: Ask) -> bool:
    """Whether an ask is the one that is kept, be it whole or without its options."""
    return kept.same_as(given) or kept.same_as(_brief(given))


def _brief(ask: Ask) -> Ask:
    """The ask with a digest in place of its options, by which they are known again."""
    if len(ask.options) <= SHORT:
        return ask
    digest = hashlib.sha256(ask.options.encode("utf8", "surrogatepass")).hexdigest()
    return replace(ask, options=json.dumps({"sha256": digest}))


def without_spent_options(changes: Changes, ledger: Ledger) -> Changes:
    """The changes without long options of what is over: only a start that may come needs them.

    Claims and leases that ended are many, and are kept for a day or for ever.
    """
    ended = [row for row in changes.leases if not row.live]
    claims = {row.id: row for row in changes.claims}
    spent = {row.claim_id for row in ended} | {row.id for row in changes.claims if _failed(row)}
    for name in spent:
        claim = claims.get(name) or ledger.claims.get(name)
        if claim and _brief(claim.ask) is not claim.ask:
            claims[name] = replace(claim, ask=_brief(claim.ask))
    leases = (row if row.live else replace(row, ask=_brief(row.ask)) for row in changes.leases)
    return replace(changes, claims=tuple(claims.values()), leases=tuple(leases))


def _failed(claim: Claim) -> bool:
    return claim.state in {ClaimState.DENIED, ClaimState.CANCELLED}


def _patience(asked: Asked, ledger: Ledger) -> Denied | None:
    """The refusal of one who waits for so much already that it would bury the queue."""
    most = asked.policy.waiting_limit
    mine = sum(row.ask.user == asked.ask.user for row in ledger.waiting())
    if not asked.ask.wait or mine < most:
        return None
    text = f"You wait in {mine} places already, and {most} is the most: leave one of them first."
    return Denied(Reason.QUEUE_LIMIT, text, limit=most, used=mine, unit="claims")


def _kept_for(asked: Asked, ledger: Ledger) -> Lease | None:
    """The lease that is held for this very holder and has not been started: from the queue."""
    return next(
        (
            lease
            for lease in ledger.leases.values()
            if _held_for(lease, asked.ask)
            and (lease.ask.flavor, lease.ask.count) == (asked.ask.flavor, asked.ask.count)
        ),
        None,
    )


def _held_for(lease: Lease, ask: Ask) -> bool:
    """Whether a lease still waits for the holder that asks."""
    held = lease.status is LeaseStatus.HELD and lease.target is Target.ACTIVE
    return held and lease.ask.holder == ask.holder


def _joined(asked: Asked, ledger: Ledger, lease: Lease, now: datetime) -> tuple[Claim, Changes]:
    """A claim by a new key for a lease that is there: it is granted that same lease."""
    claim = Claim(
        id=asked.new_id(), key=asked.key, ask=_brief(asked.ask), priority=0, submitted_at=now,
        state=ClaimState.GRANTED, decided_at=now, lease_id=lease.id,
    )  # fmt: skip
    return claim, Changes(claims=(claim,), audit=(_record(now, "joined", claim, lease.id),))


def _replaced(former: Claim | None, now: datetime) -> Changes:
    """A holder waits for one thing at a time: a new ask takes the place of the former one."""
    if former is None:
        return Changes()
    why = "you asked for something else for this server"
    over = replace(former, state=ClaimState.CANCELLED, decided_at=now, why=why, blocked="")
    return Changes(claims=(over,), audit=(_record(now, "cancelled", over, why),))


def put_back(claim: Claim, lease_id: str, ledger: Ledger, now: datetime) -> Changes:
    """A claim in its place again, which its owner left for a lease that came to nothing.

    Nothing changes where a server runs on that lease, or they wait for something else by now.
    """
    left, lease = ledger.claims.get(claim.id), ledger.leases.get(lease_id)
    elsewhere = any(row.ask.holder == claim.ask.holder for row in ledger.waiting())
    if left is None or left.state is not ClaimState.CANCELLED or elsewhere:
        return Changes()
    if lease and lease.status is LeaseStatus.ACTIVE:
        return Changes()
    user, why = claim.ask.user, "the start of something else was refused"
    held = (lease,) if lease and lease.target is Target.ACTIVE else ()
    over = tuple(end(row, EndReason.RELEASED, by=user, why=why) for row in held)
    audit = (AuditRecord(now, user, str(row.status), row.id, user, why) for row in over)
    back = _record(now, "queued", claim, why)
    return Changes(claims=(claim,), leases=over, audit=(*audit, back))


def _given_up(ask: Ask, ledger: Ledger, now: datetime) -> Changes:
    """A holder whose turn has come, and who takes something else, leaves it to the next."""
    turns = (row for row in ledger.leases.values() if row.from_queue and _held_for(row, ask))
    why = "you started something else for this server"
    over = tuple(end(row, EndReason.RELEASED, by=ask.user, why=why) for row in turns)
    audit = (AuditRecord(now, ask.user, str(row.status), row.id, ask.user, why) for row in over)
    return Changes(leases=over, audit=tuple(audit))


def _queued(
    asked: Asked, ledger: Ledger, former: Claim | None, now: datetime
) -> tuple[Claim, Changes]:
    claim = Claim(
        id=asked.new_id(), key=asked.key, ask=asked.ask,
        priority=asked.policy.priority(asked.ask.groups), state=ClaimState.QUEUED,
        submitted_at=_since(asked.ask, former, now),
    )  # fmt: skip
    joined = Changes(claims=(claim,))
    name = asked.ask.flavor
    granted = admit(
        ledger.apply(joined), asked.inventory, asked.policy, name, now, asked.new_id,
        "" if asked.starts else claim.id,
    )  # fmt: skip
    if asked.starts:
        granted = _start_asked(granted, claim.id, now)
    decided = next((row for row in granted.claims if row.id == claim.id), claim)
    if decided.waiting and not asked.ask.wait:
        # What others were granted beside it goes with it: it took for granted that what the asker
        # had before is given up, which one who is refused keeps.
        return _refused(asked, _full(asked, ledger, now), now)
    record = () if not decided.waiting else (_record(now, "queued", decided, name),)
    return decided, joined + granted + Changes(audit=record)


def _start_asked(granted: Changes, claim_id: str, now: datetime) -> Changes:
    """The grants, with one of them being started by who asked: nobody else does so at once."""
    leases = (
        replace(row, start_asked_at=now, starts=1) if row.claim_id == claim_id else row
        for row in granted.leases
    )
    return replace(granted, leases=tuple(leases))


def _since(ask: Ask, former: Claim | None, now: datetime) -> datetime:
    """Since when it waits: who asks for the same again, in another tab, keeps their place."""
    if former and (former.ask.flavor, former.ask.count) == (ask.flavor, ask.count):
        return former.submitted_at
    return now


def _full(asked: Asked, ledger: Ledger, now: datetime) -> Denied:
    """The refusal of an ask that does not wait."""
    name = asked.ask.flavor
    flavor = flavor_of(asked.policy, asked.inventory, name)
    if flavor is None:
        raise Conflict("the flavor went away while it was asked for; ask again")
    probe = Claim(
        id="~", key="", ask=asked.ask, priority=asked.policy.priority(asked.ask.groups),
        submitted_at=now, state=ClaimState.QUEUED,
    )  # fmt: skip
    coming = queue_forecasts(ledger, asked.inventory, asked.policy, name, now, newcomer=probe).get(
        probe.id
    )
    have = supply(ledger, asked.inventory, asked.policy, name, now)
    ahead = sum(row.priority >= probe.priority for row in ledger.waiting(name))
    return no_room(asked.ask, flavor, have, ahead, coming, now)


def _refused(asked: Asked, denied: Denied, now: datetime) -> tuple[Claim, Changes]:
    claim = Claim(
        id=asked.new_id(), key=asked.key, ask=asked.ask, priority=0, submitted_at=now,
        state=ClaimState.DENIED, decided_at=now, why=denied.message, told=_dump(denied),
    )  # fmt: skip
    record = _record(now, "denied", claim, f"{denied.reason}: {denied.message}")
    audit = asked.refusal.note(record, denied.reason)
    return claim, Changes(claims=(claim,), audit=audit)


def _record(now: datetime, action: str, claim: Claim, detail: str) -> AuditRecord:
    return AuditRecord(now, claim.ask.user, action, claim.id, claim.ask.user, detail)


def settled(claim: Claim, ledger: Ledger) -> Granted | Denied | None:
    """What the owner of a claim that no longer waits is told; None while it waits."""
    if claim.state is ClaimState.DENIED:
        return _load(claim.told)
    if claim.state is ClaimState.CANCELLED:
        return Denied(Reason.CANCELLED, f"This claim left the queue: {claim.why}.")
    if claim.state is ClaimState.QUEUED:
        return None
    lease = ledger.leases.get(claim.lease_id)
    if lease is None:
        return Denied(Reason.CANCELLED, "The lease of this claim is over.")
    return Granted(claim, lease)


def _dump(denied: Denied) -> str:
    return json.dumps(asdict(denied), default=str)


def _load(text: str) -> Denied:
    row = json.loads(text)
    retry = datetime.fromisoformat(row["retry_at"]) if row["retry_at"] else None
    return Denied(
        Reason(row["reason"]), row["message"], row["limit"], row["used"], row["unit"], retry,
        row.get("group", ""),
    )  # fmt: skip
