"""Limits at an instant: who may hold how much, and the refusal that says so."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Final

from mlhub.core.claims import Ask
from mlhub.core.decisions import Denied, Reason
from mlhub.core.devices import Flavor
from mlhub.core.leases import Lease, Target, free_at
from mlhub.core.ledger import Ledger
from mlhub.core.policy import Limit, Policy
from mlhub.core.quantities import format_duration, format_memory, plural


@dataclass(frozen=True, slots=True)
class Use:
    """What is held at an instant: devices, MiB of their memory, leases."""

    devices: int = 0
    memory: int = 0
    servers: int = 0


def counts(lease: Lease) -> bool:
    """Whether a lease counts for a limit: all but a turn given up before a server was seen on it.

    Its devices stay taken until that was observed, but its owner has nothing of them any more.
    """
    given_up = lease.from_queue and lease.target is Target.ENDED and not lease.holder
    return not given_up


def use_of(leases: Iterable[Lease]) -> Use:
    """The sum of what these leases hold."""
    held = tuple(lease for lease in leases if counts(lease))
    return Use(
        devices=sum(lease.count for lease in held),
        memory=sum(lease.placement.memory for lease in held),
        servers=len(held),
    )


@dataclass(slots=True)
class Holding:
    """The leases of one user or one group, and their sum, kept up as leases are added."""

    leases: list[Lease] = field(default_factory=list)
    use: Use = Use()

    def add(self, lease: Lease) -> None:
        """One more lease; they come oldest first."""
        self.leases.append(lease)
        self.use = Use(
            self.use.devices + lease.count,
            self.use.memory + lease.placement.memory,
            self.use.servers + 1,
        )

    def first_end(self, policy: Policy, now: datetime) -> datetime | None:
        """When the first of them is expected to be over; None when nothing is known."""
        ends = (free_at(row, now, policy.notice, policy.stop_timeout) for row in self.leases)
        return min((end for end in ends if end), default=None)


class Held:
    """What every user and group holds at an instant, summed once for the checks of many asks."""

    def __init__(self, leases: Iterable[Lease]) -> None:
        self._users: dict[str, Holding] = {}
        self._groups: dict[str, Holding] = {}
        for lease in sorted(leases, key=lambda row: (row.granted_at, row.id)):
            self.add(lease)

    def add(self, lease: Lease) -> None:
        """Count one more lease."""
        if not counts(lease):
            return
        self._users.setdefault(lease.ask.user, Holding()).add(lease)
        for name in dict.fromkeys(lease.ask.groups):
            self._groups.setdefault(name, Holding()).add(lease)

    def check(self, policy: Policy, ask: Ask, flavor: Flavor, now: datetime) -> Denied | None:
        """The first limit that the ask would break, or None."""
        limit = policy.limit_for(ask.user, ask.groups)
        mine = self._users.get(ask.user, _NOTHING)
        return (
            _never(limit, ask, flavor)
            or _with_retry(_user_over(limit, mine, ask, flavor), mine, ask, flavor, policy, now)
            or self._group(policy, ask, flavor, now)
        )

    def _group(self, policy: Policy, ask: Ask, flavor: Flavor, now: datetime) -> Denied | None:
        for name in ask.groups:
            limit = policy.groups.get(name)
            if limit is None:
                continue
            theirs = self._groups.get(name, _NOTHING)
            if denied := _group_over(name, limit, theirs.use, ask, flavor):
                return _with_retry(denied, theirs, ask, flavor, policy, now)
        return None


_NOTHING: Final = Holding()


def check(ledger: Ledger, policy: Policy, ask: Ask, flavor: Flavor, now: datetime) -> Denied | None:
    """The first limit that one ask would break, or None; for many asks, use one `Held`."""
    groups = set(ask.groups)
    concerned = (
        lease
        for lease in ledger.leases.values()
        if lease.ask.user == ask.user or not groups.isdisjoint(lease.ask.groups)
    )
    return Held(concerned).check(policy, ask, flavor, now)


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


def _with_retry(
    denied: Denied | None, holding: Holding, ask: Ask, flavor: Flavor, policy: Policy, now: datetime
) -> Denied | None:
    """Asking again helps once something was given back, never where the ask alone is too much."""
    if denied is None or denied.limit is None:
        return denied
    wanted = {"GPUs": ask.count, "MiB": ask.count * flavor.memory, "servers": 1}[denied.unit]
    if wanted > denied.limit:
        return denied
    return replace(denied, retry_at=holding.first_end(policy, now))


def _user_over(limit: Limit, mine: Holding, ask: Ask, flavor: Flavor) -> Denied | None:
    use = mine.use
    if limit.devices is not None and use.devices + ask.count > limit.devices:
        text = f"Your limit is {plural(limit.devices, 'GPU')}; {_holding(mine.leases)}."
        return Denied(Reason.DEVICE_LIMIT, text, limit.devices, use.devices, "GPUs")
    more = ask.count * flavor.memory
    if limit.memory is not None and use.memory + more > limit.memory:
        most = format_memory(limit.memory)
        text = (
            f"Your limit is {most} of GPU memory; you hold {format_memory(use.memory)} "
            f"and asked for {format_memory(more)} more."
        )
        return Denied(Reason.MEMORY_LIMIT, text, limit.memory, use.memory, "MiB")
    if limit.servers is not None and use.servers + 1 > limit.servers:
        held = _holding(mine.leases)
        text = f"Your limit is {plural(limit.servers, 'server')} with a GPU; {held}."
        return Denied(Reason.SERVER_LIMIT, text, limit.servers, use.servers, "servers")
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


def _group_over(name: str, limit: Limit, use: Use, ask: Ask, flavor: Flavor) -> Denied | None:
    checks = (
        (limit.devices, use.devices, ask.count, "GPUs"),
        (limit.memory, use.memory, ask.count * flavor.memory, "MiB"),
        (limit.servers, use.servers, 1, "servers"),
    )
    for most, used, more, unit in checks:
        if most is not None and used + more > most:
            show = format_memory if unit == "MiB" else partial(_counted, word=unit[:-1])
            text = (
                f"Your group '{name}' may hold {show(most)} together and holds {show(used)}; "
                f"you asked for {show(more)} more."
            )
            return Denied(Reason.GROUP_LIMIT, text, most, used, unit, group=name)
    return None


def _counted(number: int, word: str) -> str:
    return plural(number, word)
