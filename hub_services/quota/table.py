"""The table of all routes of the API."""

from __future__ import annotations

from typing import Final

from hub_services.quota import (
    account_api,
    claims_api,
    doctor_api,
    inventory_api,
    leases_api,
)
from hub_services.quota.answers import (
    AuditPage,
    ClaimView,
    FindingView,
    InventoryView,
    LeasePage,
    LeaseView,
    MeView,
    QueuePage,
    RenewalView,
    TicketView,
    UsagePage,
)
from hub_services.quota.asks import (
    ClaimAsk,
    HolderAsk,
    InventoryQuery,
    LeaseQuery,
    Nothing,
    PageQuery,
    QueueQuery,
    ReleaseAsk,
    RenewAsk,
    TicketAsk,
)
from hub_services.quota.routes import Right, Route

READER, SIGNED_IN = Right.READER, Right.SIGNED_IN
OPERATOR, ACTING = Right.OPERATOR, Right.ACTING

ROUTES: Final = (
    Route(
        "GET", "/inventory", READER, "What exists, and what is free for the asker",
        inventory_api.inventory, {200: InventoryView}, query=InventoryQuery,
    ),
    Route(
        "POST", "/claims", SIGNED_IN, "Ask for GPUs: granted, queued, or denied",
        claims_api.ask, {201: ClaimView, 202: ClaimView},
        body=ClaimAsk, keyed=True, problems=(404, 409),
    ),
    Route(
        "GET", "/claims/{claim_id}", READER, "How a claim stands now",
        claims_api.show, {200: ClaimView}, problems=(404,),
    ),
    Route(
        "DELETE", "/claims/{claim_id}", SIGNED_IN, "Leave the queue",
        claims_api.cancel, {200: ClaimView}, problems=(404,),
    ),
    Route(
        "GET", "/leases", SIGNED_IN, "Leases, newest first",
        leases_api.listed, {200: LeasePage}, query=LeaseQuery,
    ),
    Route(
        "GET", "/leases/{lease_id}", SIGNED_IN, "One lease",
        leases_api.show, {200: LeaseView}, problems=(404,),
    ),
    Route(
        "DELETE", "/leases/{lease_id}", SIGNED_IN, "End a lease, and with it its server",
        leases_api.release, {200: LeaseView}, body=ReleaseAsk, problems=(404, 409),
    ),
    Route(
        "POST", "/leases/{lease_id}/renew", SIGNED_IN, "Let it end later, where nobody waits",
        leases_api.renew, {200: RenewalView}, body=RenewAsk, problems=(404, 409),
    ),
    Route(
        "POST", "/leases/{lease_id}/used", SIGNED_IN, "Its owner has opened the server",
        leases_api.used, {200: LeaseView}, body=Nothing, problems=(404, 409),
    ),
    Route(
        "POST", "/leases/{lease_id}/holder", ACTING, "The process that holds it from now on",
        leases_api.holder, {200: LeaseView}, body=HolderAsk, problems=(404, 409),
    ),
    Route(
        "GET", "/queue", READER, "Who waits, in the order of the queues",
        inventory_api.queue, {200: QueuePage}, query=QueueQuery,
    ),
    Route(
        "GET", "/me", READER, "The asker's limits, use, claims and leases",
        account_api.me, {200: MeView},
    ),
    Route(
        "GET", "/usage", SIGNED_IN, "Observed intervals of use, newest first",
        account_api.usage, {200: UsagePage}, query=PageQuery,
    ),
    Route(
        "GET", "/audit", OPERATOR, "What was done and refused, newest first",
        account_api.audit, {200: AuditPage}, query=PageQuery,
    ),
    Route(
        "GET", "/doctor", OPERATOR, "What must hold, and whether it does",
        doctor_api.doctor, {200: FindingView}, many=True,
    ),
    Route(
        "POST", "/tickets", ACTING, "A read-only credential for one user's browser",
        account_api.ticket, {201: TicketView}, body=TicketAsk,
    ),
)  # fmt: skip

EVENTS: Final = Route(
    "GET", "/events", READER, "A stream of what changes: inventory, queue, leases, notices",
    None, {200: None}, problems=(429,), media="text/event-stream",
)  # fmt: skip
