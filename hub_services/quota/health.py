"""/healthz, /readyz and /metrics: for supervisors and for Prometheus."""

from __future__ import annotations

from typing import Final

from hub_services.quota.metrics import CONTENT_TYPE
from hub_services.quota.peers import is_ours
from hub_services.quota.problems import Problem, not_allowed
from hub_services.quota.request import ProgramRequest
from mlhub.core.errors import LedgerUnavailable, NotOwner

METRICS_SCOPE: Final = "read:metrics"
FORWARDED: Final = ("X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Forwarded", "Via")


class Health(ProgramRequest):
    """Whether the process lives. It says nothing else, so that it needs no credential."""

    def get(self) -> None:
        """Say that it does."""
        self.finish({"status": "alive"})


class OperatorsRequest(ProgramRequest):
    """What is for those who run the machine, whether they come with a token or from within."""

    def is_direct(self) -> bool:
        """Whether a process of root's or of our own OS user asks here, and not through a proxy."""
        if any(name in self.request.headers for name in FORWARDED):
            return False
        stream = getattr(self.request.connection, "stream", None)
        return is_ours(getattr(stream, "socket", None))


class Ready(OperatorsRequest):
    """Whether the service does its work: it owns the ledger, sees the GPUs, and sweeps.

    Everybody gets the status and one word. Why not is for operators, and for root and our own OS
    user on this machine: it names files, databases and drivers.
    """

    async def get(self) -> None:
        """Say whether it does, and why not."""
        reasons = self.service.vitals.reasons(self.service.broker.hardware.age)
        shown = self.is_direct() or await self._is_operator()
        self.set_status(503 if reasons else 200)
        word = {"status": "not ready" if reasons else "ready"}
        self.finish({**word, "reasons": reasons} if shown else word)

    async def _is_operator(self) -> bool:
        if "Authorization" not in self.request.headers and not self.has_cookie():
            return False
        try:
            who = await self.identify()
        except Problem:
            return False  # who asks cannot be told now: the word alone is for everybody
        return who is not None and who.operator


class MetricsPage(OperatorsRequest):
    """What Prometheus scrapes.

    It takes a token with the scope ``read:metrics``, or a direct connection of root's or of our
    own OS user's on this machine. There is no person's name in it.
    """

    async def get(self) -> None:
        """Answer a scrape."""
        if not self.is_direct():
            await self._need_scope()
        await self._refresh()
        self.set_header("Content-Type", CONTENT_TYPE)
        self.finish(self.service.metrics.text())

    async def _need_scope(self) -> None:
        who = await self.identify()
        if who is None:
            raise self.unknown()
        if METRICS_SCOPE not in who.scopes:
            raise not_allowed("This needs a token with the scope read:metrics.")

    async def _refresh(self) -> None:
        service, vitals = self.service, self.service.vitals
        try:
            scene = await service.look()
            service.metrics.ledger(scene.ledger, service.picture.flavors(scene))
        except (LedgerUnavailable, NotOwner):
            service.metrics.store_errors.inc()
        service.metrics.service(
            strays=len(service.strays), streams=service.bus.streams(),
            sweep_age=vitals.sweep_age, inventory_age=service.broker.hardware.age,
        )  # fmt: skip
