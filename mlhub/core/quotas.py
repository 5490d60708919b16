"""Limits at an instant: who may hold how much, and the refusal that says so."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from mlhub.core.claims import Ask
from mlhub.core.decisions import Denied, Reason
from mlhub.core.devices import Flavor
from mlhub.core.leases import Lease, expected_end
from mlhub.core.ledger import Ledger
from mlhub.core.policy import Limit, Policy
from mlhub.core.quantities import format_duration, format_memory, plural


@dataclass(frozen=True, slots=True)
class Use:
    """What is held at an instant: devices, MiB of their memory, leases."""

    devices: int = 0
    memory: int = 0
    servers: int = 0


def use_of(leases: Iterable[Lease]) -> Use:
    """The sum of what these leases hold."""
    held = tuple(leases)
    return Use(
        devices=sum(lease.count for lease in held),
        memory=sum(lease.placement.memory for lease in held),
        servers=len(held),
    )


def check(ledger: Ledger, policy: Policy, ask: Ask, flavor: Flavor, now: datetime) -> Denied | None:
    """The first limit that the ask would break, or None."""
    limit = policy.limit_for(ask.user, ask.groups)
    return (
        _never(limit, ask, flavor)
        or _at_once(limit, ledger.leases_of(ask.user), ask, flavor, policy, now)
        or _group(ledger, policy, ask, flavor, now)
    )


def why_never(limit: Limit, flavor: Flavor) -> str:
    """Why not even one device of a flavor can be had under a limit, "" if it can."""
    if limit.flavors is not None and flavor.name not in limit.flavors:
        names = ", ".join(sorted(limit.flavors)) or "none"
        return f"You may not use {flavor.display_name}; you may use: {names}."
    if 0 in (limit.devices, limit.servers):
        return "You may not use GPUs."
    if limit.memory is not None and flavor.memory > limit.memory:
        most, one = format_memory(limit.memory), format_memory(flavor.memory)
        return f"Your limit is {most} of GPU memory; one {flavor.display_name} has {one}."
    return ""


def _never(limit: Limit, ask: Ask, flavor: Flavor) -> Denied | None:
    if limit.flavors is not None and flavor.name not in limit.flavors:
        return Denied(Reason.FLAVOR_NOT_ALLOWED, why_never(limit, flavor))
    if limit.duration is not None and ask.duration > limit.duration:
        asked, most = format_duration(ask.duration), format_duration(limit.duration)
        text = f"You asked for {asked}; the longest you may ask for is {most}."
        return Denied(
            Reason.DURATION_LIMIT, text, limit=round(limit.duration.total_seconds()),
            used=round(ask.duration.total_seconds()), unit="seconds",
        )  # fmt: skip
    return None


def _at_once(
    limit: Limit, mine: list[Lease], ask: Ask, flavor: Flavor, policy: Policy, now: datetime
) -> Denied | None:
    use = use_of(mine)
    retry = min((expected_end(lease, now, policy.notice) for lease in mine), default=None)
    holding = _holding(mine)
    if limit.devices is not None and use.devices + ask.count > limit.devices:
        text = f"Your limit is {plural(limit.devices, 'GPU')}; {holding}."
        retry = retry if ask.count <= limit.devices else None
        return Denied(Reason.DEVICE_LIMIT, text, limit.devices, use.devices, "GPUs", retry)
    more = ask.count * flavor.memory
    if limit.memory is not None and use.memory + more > limit.memory:
        most = format_memory(limit.memory)
        text = (
            f"Your limit is {most} of GPU memory; you hold {format_memory(use.memory)} "
            f"and asked for {format_memory(more)} more."
        )
        retry = retry if more <= limit.memory else None
        return Denied(Reason.MEMORY_LIMIT, text, limit.memory, use.memory, "MiB", retry)
    if limit.servers is not None and use.servers + 1 > limit.servers:
        text = f"Your limit is {plural(limit.servers, 'server')} with a GPU; {holding}."
        retry = retry if limit.servers else None
        return Denied(Reason.SERVER_LIMIT, text, limit.servers, use.servers, "servers", retry)
    return None


def _holding(mine: list[Lease]) -> str:
    if not mine:
        return "you hold none"
    parts = [
        f"{lease.count} in server '{lease.ask.server or 'default'}' "
        f"since {lease.granted_at:%H:%M} UTC"
        for lease in mine[:4]
    ]
    more = f" and {len(mine) - 4} more" if len(mine) > 4 else ""
    return f"you hold {sum(lease.count for lease in mine)}: {', '.join(parts)}{more}"


def _group(
    ledger: Ledger, policy: Policy, ask: Ask, flavor: Flavor, now: datetime
) -> Denied | None:
    for name in ask.groups:
        limit = policy.groups.get(name)
        if limit is None:
            continue
        held = [lease for lease in ledger.leases.values() if name in lease.ask.groups]
        if denied := _group_over(name, limit, held, ask, flavor):
            ends = [expected_end(lease, now, policy.notice) for lease in held]
            return _with_retry(denied, min(ends, default=None))
    return None


def _group_over(
    name: str, limit: Limit, held: list[Lease], ask: Ask, flavor: Flavor
) -> Denied | None:
    use = use_of(held)
    checks = (
        (limit.devices, use.devices, ask.count, "GPUs"),
        (limit.memory, use.memory, ask.count * flavor.memory, "MiB"),
        (limit.servers, use.servers, 1, "servers"),
    )
    for most, used, more, unit in checks:
        if most is not None and used + more > most:
            show = format_memory if unit == "MiB" else (lambda n, unit=unit: f"{n} {unit}")
            text = (
                f"Your group '{name}' may hold {show(most)} together and holds {show(used)}; "
                f"you asked for {show(more)} more."
            )
            return Denied(Reason.GROUP_LIMIT, text, most, used, unit)
    return None


def _with_retry(denied: Denied, at: datetime | None) -> Denied:
    return Denied(denied.reason, denied.message, denied.limit, denied.used, denied.unit, at)
