"""Short ways to say what an update of a store does."""

from dataclasses import replace
from datetime import timedelta

from mlhub.core.leases import EndReason, LeaseStatus, end, vacate
from mlhub.core.ledger import AuditRecord, Changes, UsageEntry
from tests.core.making import HOUR, NOON


def does(*, value=None, **changes):
    """A decision that makes these changes."""
    times = ("anchor", "forget", "forget_denied")
    rows = {name: v if name in times else tuple(v) for name, v in changes.items()}
    return lambda ledger, anchor: (value, Changes(**rows))


def note(text: str, user: str = "ada") -> AuditRecord:
    """An audit record."""
    return AuditRecord(NOON, "test", "noted", text, user=user, detail="as it was said")


def used(lease, hours: int = 1) -> UsageEntry:
    """A usage entry of a lease."""
    return UsageEntry(
        lease_id=lease.id, user=lease.ask.user, server=lease.ask.server, groups=lease.ask.groups,
        flavor=lease.ask.flavor, devices=lease.placement.devices,
        start=NOON, end=NOON + hours * HOUR,
    )  # fmt: skip


def over(lease, *, lasted: timedelta = HOUR):
    """The lease after it was held for that long."""
    began = lease.started_at or lease.granted_at
    ran = replace(lease, started_at=began, status=LeaseStatus.ACTIVE, holder="process")
    return vacate(end(ran, EndReason.RELEASED, by="ada"), began + lasted)
