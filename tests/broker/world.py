"""A small world for the broker: ledger and hub in memory, GPUs by list, clocks by hand."""

from dataclasses import dataclass, field, replace
from datetime import timedelta

from mlhub.adapters.clock import ManualClock
from mlhub.adapters.memory import MemoryStore
from mlhub.adapters.rehearsal import RehearsalHub
from mlhub.broker.broker import Broker
from mlhub.broker.hardware import Hardware
from mlhub.broker.ports import HubUser, Page
from mlhub.broker.sweeping import Sweep
from mlhub.core.claims import Ask
from mlhub.core.devices import Inventory
from mlhub.core.errors import InventoryUnavailable
from mlhub.core.invariants import examine
from mlhub.core.policy import Policy
from mlhub.core.usage_invariants import examine_sums, examine_usage
from tests.core.making import A100, HOUR, a100s, ids, inventory

SECOND = timedelta(seconds=1)


@dataclass
class Stock:
    """An inventory source that says what it is told to say."""

    content: Inventory
    broken: str = ""

    async def read(self):
        if self.broken:
            raise InventoryUnavailable(self.broken)
        return self.content


@dataclass
class Told:
    """A notifier that remembers."""

    texts: list = field(default_factory=list)
    topics: list = field(default_factory=list)

    def changed(self, topic, user=""):
        self.topics.append((topic, user))

    def tell(self, user, event, text, lease_id=""):
        self.texts.append((user, event, text))

    def events(self, user):
        return [event for name, event, _ in self.texts if name == user]


class World:
    """A broker with everything around it."""

    def __init__(self, *, gpus=4, store=None, clock=None, **rules):
        self.clock = clock or ManualClock()
        self.store = store or MemoryStore(self.clock)
        self.stock = Stock(inventory(*a100s(gpus)))
        self.hub = RehearsalHub(self.clock)
        self.told = Told()
        self.new_id = ids()
        self.stepped_back = timedelta(0)
        self.policy = Policy(flavors=(A100,), **rules)
        self.users(*"abcdefgh")

    async def open(self):
        await self.store.open("test")
        self.wire()
        return self

    def wire(self):
        """A new broker over the same world: what a restart of the service is."""
        self.broker = Broker(
            store=self.store, hardware=Hardware(self.stock, self.clock), holders=self.hub,
            hub=self.hub, notifier=self.told, clock=self.clock, policy=self.policy,
            new_id=self.new_id,
        )  # fmt: skip
        self.sweep = Sweep(self.broker)
        self.hub.claim, self.hub.attach = self.broker.claim, self.broker.attach
        self.hub.release = self.broker.release

    def users(self, *names, groups=()):
        self.hub.users.update({name: HubUser(name, False, groups) for name in names})

    async def ask(self, user, *, key=None, count=1, hours=8, flavor="a100", **more):
        asked = Ask(
            user=user, server=more.get("server", ""), flavor=flavor, count=count,
            duration=hours * HOUR, wait=more.get("wait", False), groups=more.get("groups", ()),
            options=f'{{"flavor": "{flavor}", "count": {count}, "hours": {hours}}}',
        )  # fmt: skip
        return await self.broker.claim(asked, key or f"key-{self.new_id()}")

    async def spawn(self, user, *, count=1, hours=8, server="", wait=False):
        options = f'{{"flavor": "a100", "count": {count}, "hours": {hours}}}'
        return await self.hub.spawn(
            Ask(user=user, server=server, flavor="a100", count=count, duration=hours * HOUR,
                wait=wait, options=options)
        )  # fmt: skip

    async def tick(self, span=SECOND, times=1):
        """Let time pass and sweep, each time until all is done that the sweep asked for."""
        for _ in range(times):
            self.clock.advance(span)
            await self.sweep.once()
            await self.sweep.settle()

    async def ledger(self):
        return await self.store.snapshot()

    async def live(self):
        return {row.ask.user: row for row in (await self.ledger()).leases.values()}

    async def findings(self):
        """The names of the invariants that do not hold."""
        ledger = await self.ledger()
        seen = await self.hub.observe(list(ledger.leases.values()))
        now = self.broker.outlook.now(ledger)
        found = examine(ledger, self.stock.content, self.policy, seen, now)
        page = Page(10_000)
        usage = [row for _, row in await self.store.usage(None, page)][::-1]
        over = [row for _, row in await self.store.ended_leases(None, page)]
        leases = [*ledger.leases.values(), *over]
        billed = examine_usage(usage, self.stepped_back, leases)
        sums = examine_sums(usage, leases)
        return [row.invariant for row in (*found, billed, sums) if not row.ok]

    def step_clock(self, step):
        """Somebody sets the wall clock."""
        self.clock.step(step)
        self.stepped_back += max(-step, timedelta(0))

    def lose(self, index):
        """A device is gone from the inventory."""
        devices = tuple(d for d in self.stock.content.devices if d.index != index)
        self.stock.content = replace(self.stock.content, devices=devices)
