"""Use outside a lease: processes on a device that was leased to others, or to nobody."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from mlhub.core.leases import Lease


class Use(Protocol):
    """One process on one device, as the hardware shows it (the broker's `DeviceUse`)."""

    @property
    def device(self) -> str:
        """The device's UUID."""

    @property
    def pid(self) -> int:
        """The process."""

    @property
    def user(self) -> str:
        """The OS user that it belongs to."""

    @property
    def memory(self) -> int | None:
        """MiB that it holds there."""

    @property
    def lease_id(self) -> str:
        """The lease that its environment names."""

    @property
    def graphics(self) -> bool:
        """Whether it only draws."""


@dataclass(frozen=True, slots=True)
class Stray:
    """A process on a device that its lease does not have.

    Attributes:
        device: the device's UUID.
        pid: the process.
        user: the OS user that it belongs to, "" when that is not known.
        memory: MiB that it holds there; None when that is not known.
        owner: the hub user whose live lease its environment names, "" when it names none: it is
            they who can end it.
        disturbed: the other hub users, who hold the device, sorted.
    """

    device: str
    pid: int
    user: str
    memory: int | None
    owner: str
    disturbed: tuple[str, ...]

    def for_owner(self) -> str:
        """What the user whose process it is is told."""
        return (
            f"Your process {self.pid} works on GPU {self.device}, which its server has not leased. "
            "End it, and leave CUDA_VISIBLE_DEVICES as your server has set it."
        )

    def for_holder(self) -> str:
        """What somebody is told who leased the device."""
        return (
            f"A process that is not yours ({self.pid}, of the system user "
            f"{self.user or 'unknown'}) works on your GPU {self.device}. "
            "The administrators see it too."
        )

    def for_admin(self) -> str:
        """What the people who run the machine are told."""
        whose = f"; it is leased to {', '.join(self.disturbed)}" if self.disturbed else ""
        known = f", from a server of {self.owner}," if self.owner else ""
        return (
            f"Process {self.pid} of the system user {self.user or 'unknown'}{known} works on GPU "
            f"{self.device} without a lease of it{whose}."
        )


def find_strays(uses: Iterable[Use], leases: Iterable[Lease]) -> list[Stray]:
    """The processes on devices that the lease in their environment does not have.

    Processes that only draw (a desktop) are no strays. A process may show for a moment after its
    lease's end, or before a new lease was read: call something a stray when `lasting` does.

    Args:
        uses: what runs on the devices, read before the leases were.
        leases: the live ones.
    """
    live = {lease.id: lease for lease in leases}
    holders: dict[str, set[str]] = {}
    for lease in live.values():
        for uuid in lease.placement.devices:
            holders.setdefault(uuid, set()).add(lease.ask.user)
    return [
        _stray(use, live.get(use.lease_id), holders)
        for use in uses
        if not use.graphics and not _covered(use, live.get(use.lease_id))
    ]


def lasting(before: Iterable[Stray], now: Iterable[Stray]) -> list[Stray]:
    """The strays that were there at a look some seconds ago already, on the same device."""
    seen = {(stray.device, stray.pid, stray.user) for stray in before}
    return [stray for stray in now if (stray.device, stray.pid, stray.user) in seen]


def _covered(use: Use, lease: Lease | None) -> bool:
    return lease is not None and use.device in lease.placement.devices


def _stray(use: Use, lease: Lease | None, holders: dict[str, set[str]]) -> Stray:
    owner = lease.ask.user if lease else ""
    return Stray(
        device=use.device,
        pid=use.pid,
        user=use.user,
        memory=use.memory,
        owner=owner,
        disturbed=tuple(sorted(holders.get(use.device, set()) - {owner})),
    )
