"""What must hold, and whether it does: by the ledger, by the hardware, by the processes."""

from __future__ import annotations

from dataclasses import asdict
from typing import Final

from hub_services.quota.answers import FindingView
from hub_services.quota.routes import Call, Reply
from hub_services.quota.service import Service
from mlhub.broker.ports import DeviceUse, Page
from mlhub.core.errors import InventoryUnavailable
from mlhub.core.invariants import QUIET, Finding, examine
from mlhub.core.leases import Lease
from mlhub.core.ledger import Changes, stepped_back, stepped_on
from mlhub.core.strays import find_strays, lasting
from mlhub.core.usage_invariants import examine_sums, examine_usage

ENTRIES: Final = 1000  # rows of each kind that are looked at, the newest ones
TRIES: Final = 5  # looks at the usage ledger while others write to it


async def doctor(call: Call) -> Reply:
    """Examine the ledger, the hardware, the processes and the service itself."""
    return Reply(await examined(call.service))


async def examined(service: Service) -> list[FindingView]:
    """What holds and what does not, looked at now."""
    uses = await _uses(service)
    scene = await service.look()
    leases = list(scene.ledger.leases.values())
    seen = await service.broker.holders.observe(leases)
    findings = examine(
        scene.ledger, scene.inventory, service.broker.policy, seen, scene.now, uses=uses
    )
    findings += [*await _billed(service), _quiet(service), _strays(service, leases, uses)]
    return [FindingView(**asdict(row)) for row in findings]


async def _uses(service: Service) -> list[DeviceUse] | None:
    """What runs on the devices, read before the ledger is; None where nobody can say."""
    if service.usage is None:
        return None
    try:
        return await service.usage.processes()
    except InventoryUnavailable:
        return None


async def _billed(service: Service) -> list[Finding]:
    """I4 and I7, with the live leases where nothing was written while entries were read."""
    store = service.broker.store
    for _ in range(TRIES):
        before = await store.snapshot()
        findings = await _usage_of(service, list(before.leases.values()))
        # Asked where commits are made: one that can be read already may not be known here yet.
        after = await store.update(lambda ledger, _clock: (ledger.revision, Changes()))
        if after == before.revision:
            return findings
    return await _usage_of(service, [])


async def _usage_of(service: Service, live: list[Lease]) -> list[Finding]:
    history, page = service.history, Page(ENTRIES)
    leases = [*live, *(row for _, row in await history.ended_leases(None, page))]
    entries = [row for _, row in await history.usage(None, page)][::-1]
    records = [row for _, row in await history.audit(None, page)]
    all_read = len(entries) < ENTRIES
    since = None if all_read else entries[0].end + stepped_on(records)
    return [
        examine_sums(entries, leases, since=since),
        examine_usage(entries, stepped_back(records), leases),
    ]


def _quiet(service: Service) -> Finding:
    age, trouble = service.vitals.sweep_age, service.vitals.trouble
    quiet = age is not None and age < QUIET.total_seconds() and not trouble
    says = "the sweep goes through, and has done so lately"
    looked_at = "no sweep yet" if age is None else f"the last one that did, {age:.0f} s ago"
    detail = "" if quiet else trouble or "no sweep went through lately"
    return Finding("I11", says, quiet, detail, looked_at)


def _strays(service: Service, leases: list[Lease], uses: list[DeviceUse] | None) -> Finding:
    """Use outside a lease: no invariant of the ledger, but somebody disturbs somebody.

    What was told of already counts while it is still there; without a look it counts as it was.
    """
    says = "nobody uses a GPU outside a lease"
    if uses is None:
        strays, looked_at = list(service.strays), "no look at the processes on GPUs was possible"
    else:
        strays = lasting(service.strays, find_strays(uses, leases))
        looked_at = f"processes on GPUs: {len(uses)}"
    text = " ".join(stray.for_admin() for stray in strays)
    return Finding("use", says, not strays, text, looked_at)
