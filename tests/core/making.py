"""Short ways to say a device, a claim, a lease or a ledger in the tests of the core."""

from datetime import UTC, datetime, timedelta

from mlhub.core.claims import Ask, Claim, ClaimState, Placement
from mlhub.core.devices import Device, Flavor, Health, Inventory, Node
from mlhub.core.leases import Lease
from mlhub.core.ledger import Changes, Ledger

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
A100 = Flavor(name="a100", display_name="A100 80 GB", model="*a100*", memory=81920)
T4 = Flavor(name="t4", display_name="T4", model="*t4*", memory=15360)


def device(name: str, *, node: str = "n1", model: str = "NVIDIA A100 80GB", **more) -> Device:
    memory = more.pop("memory", 81920)
    return Device(uuid=f"GPU-{name}", node=node, model=model, memory=memory, **more)


def inventory(*devices: Device, **nodes: Node) -> Inventory:
    names = sorted({row.node for row in devices})
    return Inventory(tuple(nodes.get(n, Node(n)) for n in names), tuple(devices), taken_at=NOON)


def a100s(count: int, node: str = "n1") -> list[Device]:
    return [device(f"{node}-{i}", node=node, index=i) for i in range(count)]


def sick(row: Device, why: str = "it fell off the bus") -> Device:
    return Device(
        **{**{f: getattr(row, f) for f in row.__slots__}, "health": Health.SICK, "trouble": why}
    )


def ask(user: str = "ada", **more) -> Ask:
    told = {"server": "", "flavor": "a100", "count": 1, "duration": 8 * HOUR, **more}
    return Ask(user=user, **told)


def claim(name: str, *, at: datetime = NOON, priority: int = 0, **more) -> Claim:
    return Claim(
        id=name, key=f"key-{name}", ask=ask(wait=True, **more), priority=priority,
        submitted_at=at, state=ClaimState.QUEUED,
    )  # fmt: skip


def lease(name: str, *devices: str, at: datetime = NOON, **more) -> Lease:
    asked = ask(more.pop("user", "ada"), server=more.pop("server", ""), count=len(devices),
                flavor=more.pop("flavor", "a100"), groups=more.pop("groups", ()),
                duration=more.pop("duration", 8 * HOUR))  # fmt: skip
    return Lease(
        id=name, claim_id=f"claim-{name}", ask=asked, granted_at=at, start_by=at + 5 * MINUTE,
        placement=Placement("n1", tuple(f"GPU-{d}" for d in devices), 81920 * len(devices)),
        ends_at=more.pop("ends_at", at + asked.duration), **more,
    )  # fmt: skip


def ledger(*rows: Claim | Lease, past: dict[str, tuple[float, ...]] | None = None) -> Ledger:
    claims = tuple(row for row in rows if isinstance(row, Claim))
    leases = tuple(row for row in rows if isinstance(row, Lease))
    return Ledger(past=past or {}).apply(Changes(claims=claims, leases=leases))


def ids(prefix: str = "id"):
    count = iter(range(10**9))
    return lambda: f"{prefix}-{next(count)}"
