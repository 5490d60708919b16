"""A hub with its users and servers in memory: for tests, soak runs and trying out a policy."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from mlhub.broker.ports import Clock, HubUser, ServerState
from mlhub.core.claims import Ask
from mlhub.core.decisions import Decision, Granted
from mlhub.core.errors import Conflict, HubRefused, HubUnavailable, NotFound
from mlhub.core.leases import Lease
from mlhub.core.lifecycle import Observation, Presence


@dataclass(slots=True)
class Server:
    """A server that runs, and the lease in its environment; "" on CPU.

    Attributes:
        begun: the monotonic clock when its process began.
    """

    pid: int
    begun: float
    lease_id: str = ""
    stubborn: bool = False


@dataclass
class RehearsalHub:
    """A `HubPort` and a `HolderSource` that behave as the hub, the spawner and the processes do.

    A start claims, runs a server, and names it as the holder, in this order, as the spawner does.

    Attributes:
        claim, attach, release: the broker's, to be set before the first start.
        away: True while the hub does not answer.
        blind: True while processes cannot be observed.
        refuses: what the hub says to a start, if it refuses.
        crashes: True while a server dies right after its process began.
    """

    clock: Clock
    users: dict[str, HubUser] = field(default_factory=dict)
    servers: dict[tuple[str, str], Server] = field(default_factory=dict)
    away: bool = False
    blind: bool = False
    refuses: str | HubRefused = ""
    crashes: bool = False
    claim: Callable[[Ask, str], Awaitable[Decision]] | None = None
    attach: Callable[..., Awaitable[Lease]] | None = None
    release: Callable[..., Awaitable[Lease]] | None = None
    _pids: int = 0

    async def user(self, name: str) -> HubUser | None:
        """The user, or None."""
        self._answer()
        return self.users.get(name)

    async def start(self, user: str, server: str, options: str) -> None:
        """Start a server with the claim that its options name."""
        self._answer()
        if self.refuses:
            refused = self.refuses
            raise refused if isinstance(refused, HubRefused) else HubRefused(refused)
        wanted = json.loads(options)
        await self.spawn(
            Ask(
                user=user, server=server, flavor=wanted["flavor"], count=wanted["count"],
                duration=timedelta(hours=wanted.get("hours", 8)), options=options,
            )
        )  # fmt: skip

    async def spawn(self, ask: Ask) -> Decision:
        """What the spawner does: claim, begin the process, name the holder; stop it if too late."""
        if self.claim is None or self.attach is None or self.release is None:
            raise HubUnavailable("this rehearsal has no broker")
        self._pids += 1
        pid = self._pids  # another start may begin while this one's claim is decided
        decision = await self.claim(ask, f"spawn-key-{pid:08d}")
        if not isinstance(decision, Granted):
            return decision
        server = Server(pid, self.clock.monotonic(), decision.lease.id)
        self.servers[ask.user, ask.server] = server
        if self.crashes:
            del self.servers[ask.user, ask.server]
            await self.release(decision.lease.id, by=ask.user, why="the server crashed")
            return decision
        try:
            await self.attach(decision.lease.id, holder=self._holder(server), age=self._age(server))
        except (Conflict, NotFound):
            del self.servers[ask.user, ask.server]
        return decision

    async def stop(self, user: str, server: str) -> None:
        """Stop a server, unless it ignores that."""
        self._answer()
        running = self.servers.get((user, server))
        if running and not running.stubborn:
            del self.servers[user, server]

    async def state(self, user: str, server: str) -> ServerState:
        """Whether it runs."""
        self._answer()
        return ServerState.READY if (user, server) in self.servers else ServerState.ABSENT

    async def observe(self, leases: Sequence[Lease]) -> Mapping[str, Observation]:
        """Which leases' servers run."""
        if self.blind:
            return {lease.id: Observation(Presence.UNKNOWN) for lease in leases}
        running = {server.lease_id: server for server in self.servers.values()}
        return {lease.id: self._seen(running.get(lease.id)) for lease in leases}

    async def kill(self, lease: Lease) -> None:
        """End by force what runs on a lease."""
        rest = {key: row for key, row in self.servers.items() if row.lease_id != lease.id}
        self.servers = rest

    def _seen(self, server: Server | None) -> Observation:
        if server is None:
            return Observation(Presence.GONE)
        return Observation(Presence.THERE, holder=self._holder(server), age=self._age(server))

    def _age(self, server: Server) -> timedelta:
        return timedelta(seconds=self.clock.monotonic() - server.begun)

    def _holder(self, server: Server) -> str:
        return f"{self.clock.boot()}/{server.pid}"

    def _answer(self) -> None:
        if self.away:
            raise HubUnavailable("JupyterHub does not answer")
