"""From the ledger's values to the API's answers; what the asker may not know is left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from hub_services.quota.answers import (
    AuditView,
    ClaimView,
    FlavorView,
    ForecastView,
    LeaseView,
    LimitsView,
    UsageView,
    UseView,
    WaitingView,
)
from hub_services.quota.identity import Identity
from mlhub.core.availability import FlavorState
from mlhub.core.claims import Claim
from mlhub.core.decisions import Decision, Denied, Forecast, Granted
from mlhub.core.leases import Lease, expected_end, window_closes
from mlhub.core.ledger import AuditRecord, UsageEntry
from mlhub.core.policy import Limit, Policy
from mlhub.core.quotas import Use


@dataclass(frozen=True, slots=True)
class LeaseFacts:
    """What is said of a lease beside what it is itself.

    Attributes:
        now: ledger time.
        waiting: how many claims wait for a lease to end, as renewing counts them.
        simulated: whether the devices are.
    """

    policy: Policy
    now: datetime
    waiting: Callable[[Lease], int]
    simulated: bool


def lease_view(lease: Lease, facts: LeaseFacts) -> LeaseView:
    """A lease."""
    policy, ask, live = facts.policy, lease.ask, lease.live
    return LeaseView(
        id=lease.id, claim_id=lease.claim_id, user=ask.user, server=ask.server,
        kind=str(ask.kind), flavor=ask.flavor, count=lease.count, node=lease.placement.node,
        devices=list(lease.placement.devices), memory_mib=lease.placement.memory,
        status=str(lease.status), target="active" if lease.target == "active" else "ended",
        from_queue=lease.from_queue, granted_at=lease.granted_at, start_by=lease.start_by,
        started_at=lease.started_at, used_at=lease.used_at,
        window_closes_at=window_closes(lease, policy.claim_window) if live else None,
        ends_at=lease.ends_at,
        expected_end=expected_end(lease, facts.now, policy.notice) if live else None,
        warned_at=lease.warned_at, ended_at=lease.ended_at,
        reason=str(lease.reason) if lease.reason else None, why=lease.why, by=lease.by,
        waiting=facts.waiting(lease) if live else 0, simulated=facts.simulated,
    )  # fmt: skip


def claim_view(
    claim: Claim, decision: Decision, facts: LeaseFacts, ended: Lease | None = None
) -> ClaimView:
    """How a claim stands; `ended` is its lease where that is over."""
    ask = claim.ask
    base = {
        "claim": claim.id, "user": ask.user, "server": ask.server, "flavor": ask.flavor,
        "count": ask.count,
    }  # fmt: skip
    if isinstance(decision, Granted):
        lease = lease_view(decision.lease, facts)
        text = f"{decision.lease.count} x {ask.flavor} on {decision.lease.placement.node}."
        return ClaimView(**base, state="granted", reason="granted", message=text, lease=lease)
    if isinstance(decision, Denied):
        lease_over = lease_view(ended, facts) if ended else None
        return ClaimView(
            **base, state=str(claim.state), reason=str(decision.reason),
            message=decision.message, lease=lease_over, limit=decision.limit, used=decision.used,
            unit=decision.unit or None, retry_at=decision.retry_at,
        )  # fmt: skip
    return ClaimView(
        **base, state="queued", reason=str(decision.reason), message=decision.message,
        position=decision.position, expected=forecast_view(decision.forecast),
        expected_at=decision.forecast.expected if decision.forecast else None,
    )  # fmt: skip


def waiting_view(
    claim: Claim, position: int, coming: Forecast | None, who: Identity
) -> WaitingView:
    """A claim in the queue; of others' only what a queue tells by itself."""
    ask, shown = claim.ask, who.is_user(claim.ask.user) or who.operator
    return WaitingView(
        id=claim.id, user=ask.user if shown else None, mine=who.is_user(ask.user),
        server=ask.server if shown else None, flavor=ask.flavor, count=ask.count,
        priority=claim.priority, position=position, submitted_at=claim.submitted_at,
        expected=forecast_view(coming), blocked=claim.blocked if shown else "",
    )  # fmt: skip


def flavor_view(state: FlavorState, coming: Forecast | None, why_not: str) -> FlavorView:
    """A flavor for one asker; `why_not` is why they may not use it."""
    flavor = state.flavor
    return FlavorView(
        name=flavor.name, display_name=flavor.display_name, description=flavor.description,
        memory_mib=flavor.memory, sharing=str(flavor.sharing), resource=flavor.resource,
        price=float(flavor.price), total=state.total, free=state.free, held=state.held,
        kept=state.kept, out_of_service=state.out_of_service, waiting=state.waiting,
        max_count=state.max_count, now=state.now, expected=forecast_view(coming),
        allowed=not why_not, why_not=why_not,
    )  # fmt: skip


def forecast_view(forecast: Forecast | None) -> ForecastView | None:
    """When something can be expected."""
    if forecast is None:
        return None
    return ForecastView(
        soonest=forecast.soonest, expected=forecast.expected, latest=forecast.latest
    )


def limits_view(limit: Limit) -> LimitsView:
    """What one user may hold."""
    return LimitsView(
        devices=limit.devices, memory_mib=limit.memory, servers=limit.servers,
        flavors=sorted(limit.flavors) if limit.flavors is not None else None,
        duration_s=round(limit.duration.total_seconds()) if limit.duration is not None else None,
    )  # fmt: skip


def use_view(use: Use) -> UseView:
    """What one user holds."""
    return UseView(devices=use.devices, memory_mib=use.memory, servers=use.servers)


def usage_view(entry: UsageEntry) -> UsageView:
    """One observed interval of use."""
    return UsageView(
        lease_id=entry.lease_id, user=entry.user, server=entry.server, groups=list(entry.groups),
        flavor=entry.flavor, devices=list(entry.devices), start=entry.start, end=entry.end,
        hours=float(entry.hours), price=float(entry.price),
    )  # fmt: skip


def audit_view(record: AuditRecord) -> AuditView:
    """One record of the audit."""
    return AuditView(
        at=record.at, actor=record.actor, action=record.action, subject=record.subject,
        user=record.user, detail=record.detail,
    )  # fmt: skip
