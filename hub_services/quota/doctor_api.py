"""What must hold, and whether it does."""

from __future__ import annotations

from typing import Final

from hub_services.quota.answers import FindingView
from hub_services.quota.routes import Call, Reply
from hub_services.quota.service import Service
from mlhub.broker.ports import Page
from mlhub.core.invariants import Finding, examine, examine_usage
from mlhub.core.ledger import stepped_back

ENTRIES: Final = 1000  # usage entries that are looked at, the newest ones
QUIET: Final = 120.0  # seconds after which the system has to be quiet again


async def doctor(call: Call) -> Reply:
    """Examine the ledger, the hardware and the service itself."""
    service = call.service
    scene = await service.look()
    policy, leases = service.broker.policy, list(scene.ledger.leases.values())
    seen = await service.broker.holders.observe(leases)
    entries = [row for _, row in await service.history.usage(None, Page(ENTRIES))][::-1]
    records = [row for _, row in await service.history.audit(None, Page(ENTRIES))]
    findings = examine(scene.ledger, scene.inventory, policy, seen, scene.now)
    findings += [examine_usage(entries, stepped_back(records)), _quiet(service), _strays(service)]
    return Reply(
        [
            FindingView(invariant=row.invariant, says=row.says, ok=row.ok, detail=row.detail)
            for row in findings
        ]
    )


def _quiet(service: Service) -> Finding:
    age, trouble = service.vitals.sweep_age, service.vitals.trouble
    quiet = age is not None and age < QUIET and not trouble
    says = "the sweep goes through, and has done so lately"
    return Finding("I11", says, quiet, "" if quiet else trouble or "no sweep went through lately")


def _strays(service: Service) -> Finding:
    """Use outside a lease: no invariant of the ledger, but somebody disturbs somebody."""
    text = " ".join(stray.for_admin() for stray in service.strays)
    return Finding("use", "nobody uses a GPU outside a lease", not service.strays, text)
