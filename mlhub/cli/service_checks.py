"""What `mlhub doctor` asks the quota service: whether it is ready, its ledger holds, GPUs work."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Final

from mlhub.cli.findings import Found, Level, bad, good
from mlhub.client import BrokerClient, Finding, InventoryView, NoToken, Refused, ServiceUnavailable
from mlhub.core.quantities import plural

REMEDIES: Final = {
    "I1": "Release all leases of that GPU but one: mlhub release LEASE --why ...",
    "I2": "A limit was lowered after the grant: let these leases end, or release them.",
    "I3": "Release the leases of that server but the newest: mlhub release LEASE --why ...",
    "I4": "Keep a copy of the ledger and report this: bills and observations differ.",
    "I5": "Keep a copy of the ledger and report this: two claims share one key.",
    "I6": "The next sweep ends it; if this stays, the service's log says what hinders it.",
    "I7": "Keep a copy of the ledger and report this: use was billed twice or out of order.",
    "I11": "The service's log says what fails; it goes on by itself when that is mended.",
    "use": "Ask the process's owner to end it, or end it yourself.",
}
OTHERWISE: Final = "Keep a copy of the ledger and report this."


async def look_at_service(client: BrokerClient) -> AsyncIterator[Found]:
    """Everything that the service can tell of itself; nothing more once it does not answer."""
    try:
        reasons = await client.ready()
    except ServiceUnavailable as error:
        yield bad("service", f"{error.url}: {error.why}", "Is it started? See: mlhub status")
        return
    yield (
        bad("service", "; ".join(reasons), "Its log says more.")
        if reasons
        else good("service", "it is ready")
    )
    for part in (look_at_ledger, look_at_devices):
        try:
            for found in await part(client):
                yield found
        except (Refused, NoToken) as error:
            yield bad("service", str(error), "Name an operator's token with --token-file.")
        except ServiceUnavailable as error:
            yield bad("service", error.why, "Its log says more.")


async def look_at_ledger(client: BrokerClient) -> list[Found]:
    """The invariants, as the service examines them."""
    return [found_of(row) for row in await client.doctor()]


def found_of(row: Finding) -> Found:
    """One invariant as the doctor says it."""
    about = f"ledger {row.invariant}" if row.invariant.startswith("I") else row.invariant
    at = f" ({row.looked_at})" if row.looked_at else ""
    if row.ok:
        return good(about, row.says + at)
    return bad(about, (row.detail or row.says) + at, REMEDIES.get(row.invariant, OTHERWISE))


async def look_at_devices(client: BrokerClient) -> list[Found]:
    """The GPUs: whether they are real, known, and in order."""
    stock = await client.inventory()
    return [*_state_of(stock), *_trouble_of(stock)]


def _state_of(stock: InventoryView) -> Iterator[Found]:
    count = sum(len(node.devices) for node in stock.nodes)
    if stock.simulated:
        yield Found("GPUs", Level.NOTE, f"{plural(count, 'GPU')}, simulated: no work is done there")
    else:
        yield good("GPUs", plural(count, "GPU"))
    if stock.problem:
        yield bad("GPUs", stock.problem, "Try `nvidia-smi`; if it hangs too, restart the machine.")


def _trouble_of(stock: InventoryView) -> Iterator[Found]:
    for node in stock.nodes:
        if node.trouble:
            yield bad("GPUs", f"{node.name}: {node.trouble}", "Nothing new is started there.")
        for row in node.devices:
            name = f"{row.model} number {row.index} ({row.uuid})"
            if row.trouble and not node.trouble:
                remedy = "It is given out again when it is healthy."
                yield bad("GPUs", f"{name}: {row.trouble}", remedy)
            if row.warning:
                yield Found("GPUs", Level.NOTE, f"{name}: {row.warning}", "It is still given out.")
