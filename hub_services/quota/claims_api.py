"""Claims: asked for, looked at, taken back."""

from __future__ import annotations

import json
import time
from datetime import datetime
from typing import Any, Final

from hub_services.quota.asks import ClaimAsk
from hub_services.quota.identity import Identity
from hub_services.quota.problems import Problem, bad_input, not_allowed
from hub_services.quota.routes import Call, Reply
from hub_services.quota.views import claim_view
from mlhub.core.claims import Ask, Claim
from mlhub.core.decisions import Decision, Denied, Granted, Queued, Reason
from mlhub.core.errors import NotFound
from mlhub.core.quantities import parse_duration

STATUS: Final = {
    Reason.UNKNOWN_FLAVOR: 404,
    Reason.TOO_MANY: 409,
    Reason.CANCELLED: 409,
    Reason.NO_CAPACITY: 503,
    Reason.OUT_OF_SERVICE: 503,
}  # every other reason is a limit: 403
LONGEST_RETRY: Final = 3600  # seconds: by then what was forecast is worth another look


async def ask(call: Call) -> Reply:
    """Ask for devices; the same key always means the same claim."""
    began, broker = time.perf_counter(), call.service.broker
    wanted = await _ask(call, call.body)
    decision = await broker.claim(wanted, call.key)
    call.service.metrics.decided(decision, time.perf_counter() - began)
    claim = await _claim_of(call, wanted.user, decision)
    if isinstance(decision, Denied):
        raise _denial(claim, decision, (await call.service.look()).now)
    view = claim_view(claim, decision, (await call.service.look()).facts())
    return Reply(view, 201 if isinstance(decision, Granted) else 202)


async def show(call: Call) -> Reply:
    """How a claim stands now."""
    claim = await _find(call)
    if not call.who.may_see(claim.ask.user):
        raise NotFound("there is no such claim, or it is long over")
    return Reply(await _standing(call, claim))


async def cancel(call: Call) -> Reply:
    """Leave the queue; a claim that does not wait any more stays as it is."""
    claim = await _find(call)
    if not call.who.may_end(claim.ask.user):
        raise NotFound("there is no such claim, or it is long over")
    why = "" if call.who.is_user(claim.ask.user) else f"{call.who.name} took it out of the queue"
    await call.service.broker.cancel(claim.id, by=call.who.name, why=why)
    return Reply(await _standing(call, await _find(call)))


async def _find(call: Call) -> Claim:
    return await call.service.broker.find_claim(call.path["claim_id"])


async def _standing(call: Call, claim: Claim) -> Any:
    decision = await call.service.broker.standing(claim)
    scene = await call.service.look()
    over = claim.lease_id and isinstance(decision, Denied)
    ended = await call.service.history.ended_lease(claim.lease_id) if over else None
    return claim_view(scene.ledger.claims.get(claim.id, claim), decision, scene.facts(), ended)


async def _ask(call: Call, body: ClaimAsk) -> Ask:
    user, groups = await _for_whom(call, body)
    policy = call.service.broker.policy
    duration = policy.duration_for(user, groups)
    if body.duration is not None:
        duration = parse_duration(body.duration)
    return Ask(
        user=user, server=body.server, flavor=body.flavor, count=body.count, duration=duration,
        wait=body.wait, groups=groups,
        options=json.dumps(body.user_options, sort_keys=True, separators=(",", ":")),
    )  # fmt: skip


async def _for_whom(call: Call, body: ClaimAsk) -> tuple[str, tuple[str, ...]]:
    who: Identity = call.who
    if not who.acts:
        if body.user not in {None, who.user} or body.groups is not None:
            raise not_allowed("Only the hub itself may ask for somebody else.")
        if not who.user:
            raise not_allowed("This credential belongs to no user, so it cannot hold a GPU.")
        return who.user, who.groups
    user = body.user or who.user
    if not user:
        raise bad_input("user", "nobody is named", "say for whom the claim is")
    if body.groups is not None:
        return user, tuple(sorted(set(body.groups)))
    known = await call.service.broker.hub.user(user)
    if known is None:
        raise Problem(404, "unknown-user", f"JupyterHub has no user '{user[:60]}'.")
    return user, tuple(sorted(known.groups))


async def _claim_of(call: Call, user: str, decision: Decision) -> Claim:
    if isinstance(decision, Granted | Queued):
        return decision.claim
    ledger = await call.service.broker.store.snapshot()
    claim = ledger.claim_by_key(user, call.key)
    if claim is None:
        raise NotFound("there is no such claim, or it is long over")
    return claim


def _denial(claim: Claim, denied: Denied, now: datetime) -> Problem:
    seconds = None
    if denied.retry_at is not None:
        left = (denied.retry_at - now).total_seconds()
        seconds = min(LONGEST_RETRY, max(1, round(left)))
    status = STATUS.get(denied.reason, 403)
    facts = {
        "state": "cancelled" if denied.reason is Reason.CANCELLED else "denied",
        "claim": claim.id, "reason": str(denied.reason), "limit": denied.limit,
        "used": denied.used, "unit": denied.unit or None,
        "retry_at": denied.retry_at.isoformat() if denied.retry_at else None,
    }  # fmt: skip
    return Problem(
        status, f"claim-{denied.reason}", denied.message, "Claim denied", facts,
        retry_after=seconds or (60 if status == 503 else None), recorded=True,
    )  # fmt: skip
