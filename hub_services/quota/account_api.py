"""The asker's own account, the record of what was used, and of what was done."""

from __future__ import annotations

from hub_services.quota.answers import AuditPage, MeView, NoticeView, TicketView, UsagePage
from hub_services.quota.asks import PageQuery
from hub_services.quota.inventory_api import queued
from hub_services.quota.leases_api import whose
from hub_services.quota.problems import not_allowed
from hub_services.quota.routes import Call, Reply
from hub_services.quota.views import (
    audit_view,
    lease_view,
    limits_view,
    usage_view,
    use_view,
)
from mlhub.broker.ports import Page
from mlhub.core.quotas import use_of

ENDED_SHOWN = 10


async def me(call: Call) -> Reply:
    """The asker's limits, use, claims and leases."""
    who, service = call.who, call.service
    if not who.user:
        raise not_allowed("This credential belongs to no user.")
    scene = await service.look()
    mine, facts = scene.ledger.leases_of(who.user), scene.facts()
    ended = await service.history.ended_leases(who.user, Page(ENDED_SHOWN))
    limit = service.broker.policy.limit_for(who.user, who.groups)
    return Reply(
        MeView(
            user=who.user, groups=list(who.groups), operator=who.operator,
            limits=limits_view(limit), use=use_view(use_of(mine)),
            claims=[row for row in queued(scene, service.broker.outlook, who) if row.mine],
            leases=[lease_view(lease, facts) for lease in mine],
            ended=[lease_view(lease, facts) for _, lease in ended],
            notices=[
                NoticeView(number=row.number, event=row.event, text=row.text, lease_id=row.lease_id)
                for row in service.bus.notices(who.user, operator=who.operator)
            ],
        )
    )  # fmt: skip


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
