"""The asker's own account, the record of what was used, and of what was done."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from hub_services.quota.answers import (
    AuditPage,
    MeView,
    MineView,
    NoticeView,
    TicketView,
    UsagePage,
    WaitingView,
)
from hub_services.quota.asks import PageQuery
from hub_services.quota.identity import Identity
from hub_services.quota.leases_api import whose
from hub_services.quota.problems import not_allowed
from hub_services.quota.routes import Call, Reply
from hub_services.quota.scene import Scene
from hub_services.quota.views import (
    audit_view,
    lease_view,
    limits_view,
    usage_view,
    use_view,
    waiting_view,
)
from mlhub.adapters.notify import EventBus
from mlhub.broker.outlook import Outlook
from mlhub.broker.ports import Page
from mlhub.core.quotas import use_of

ENDED_SHOWN = 10
# What these say holds for a lease that lives; what became of it is told otherwise.
OF_THE_LIVING: Final = frozenset({"ending", "goes-on", "switch-offer", "device-trouble"})


async def me(call: Call) -> Reply:
    """The asker's limits, use, claims and leases."""
    who, service = call.who, call.service
    if not who.user:
        raise not_allowed("This credential belongs to no user.")
    scene = await service.look()
    mine, facts = mine_of(scene, service.broker.outlook, who), scene.facts()
    ended = await service.history.ended_leases(who.user, Page(ENDED_SHOWN))
    return Reply(
        MeView(
            user=who.user, groups=list(who.groups), operator=who.operator, limits=mine.limits,
            use=mine.use, claims=mine.claims, leases=mine.leases,
            ended=[lease_view(lease, facts) for _, lease in ended],
            notices=_notices(scene, service.bus, who),
        )
    )  # fmt: skip


def _notices(scene: Scene, bus: EventBus, who: Identity) -> list[NoticeView]:
    """What the asker was told lately and still holds."""
    return [
        NoticeView(
            number=row.number, event=row.event, text=row.text, lease_id=row.lease_id,
            at=scene.now - timedelta(seconds=row.age),
        )
        for row in bus.notices(who.user, operator=who.operator)
        if row.event not in OF_THE_LIVING or row.lease_id in scene.ledger.leases
    ]  # fmt: skip


def mine_of(scene: Scene, outlook: Outlook, who: Identity) -> MineView:
    """What a user may hold, holds and waits for."""
    leases, facts = scene.ledger.leases_of(who.user), scene.facts()
    return MineView(
        limits=limits_view(scene.policy.limit_for(who.user, who.groups)),
        use=use_view(use_of(leases)),
        claims=_waiting(scene, outlook, who),
        leases=[lease_view(lease, facts) for lease in leases],
    )


def _waiting(scene: Scene, outlook: Outlook, who: Identity) -> list[WaitingView]:
    """The user's waiting claims by flavor, the next one first."""
    rows = []
    for claim in scene.ledger.waiting():
        if who.is_user(claim.ask.user):
            line = outlook.line(claim.ask.flavor, scene.ledger)
            place, coming = line.places[claim.id], line.forecasts.get(claim.id)
            rows.append(waiting_view(claim, place, coming, who))
    return sorted(rows, key=lambda row: (row.flavor, row.position))


async def usage(call: Call) -> Reply:
    """Observed intervals of use, newest first."""
    query: PageQuery = call.query
    page = Page(query.limit, query.before)
    rows = await call.service.history.usage(whose(call, query.user), page)
    after = rows[-1][0] if len(rows) == query.limit else None
    return Reply(UsagePage(items=[usage_view(row) for _, row in rows], next=after))


async def audit(call: Call) -> Reply:
    """What was done, newest first."""
    query: PageQuery = call.query
    rows = await call.service.history.audit(query.user, Page(query.limit, query.before))
    after = rows[-1][0] if len(rows) == query.limit else None
    return Reply(AuditPage(items=[audit_view(row) for _, row in rows], next=after))


async def ticket(call: Call) -> Reply:
    """A read-only credential for one user's browser."""
    groups = tuple(sorted(set(call.body.groups)))
    made = call.service.tickets.make(call.body.user, groups, call.service.now())
    return Reply(TicketView(ticket=made.text, expires_at=made.expires_at), 201)
