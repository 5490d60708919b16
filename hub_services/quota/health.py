"""/healthz, /readyz and /metrics: for supervisors and for Prometheus."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final

from hub_services.quota.metrics import CONTENT_TYPE
from hub_services.quota.problems import not_allowed
from hub_services.quota.request import ProgramRequest
from mlhub.core.errors import LedgerUnavailable, NotOwner

METRICS_SCOPE: Final = "read:metrics"
FORWARDED: Final = ("X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Forwarded", "Via")


class Health(ProgramRequest):
    """Whether the process lives. It says nothing else, so that it needs no credential."""

    def get(self) -> None:
        """Say that it does."""
        self.finish({"status": "alive"})


class Ready(ProgramRequest):
    """Whether the service does its work: it owns the ledger, sees the GPUs, and sweeps."""

    def get(self) -> None:
        """Say whether it does, and why not."""
        reasons = self.service.vitals.reasons(self.service.broker.hardware.age)
        self.set_status(503 if reasons else 200)
        self.finish({"status": "not ready" if reasons else "ready", "reasons": reasons})


class MetricsPage(ProgramRequest):
    """What Prometheus scrapes.

    It takes a token with the scope ``read:metrics``, or a direct connection from this machine;
    what comes through the hub's proxy needs the token. There is no person's name in it.
    """

    async def get(self) -> None:
        """Answer a scrape."""
        if not self._is_direct():
            await self._need_scope()
        await self._refresh()
        self.set_header("Content-Type", CONTENT_TYPE)
        self.finish(self.service.metrics.text())

    def _is_direct(self) -> bool:
        forwarded = any(name in self.request.headers for name in FORWARDED)
        try:
            return not forwarded and ip_address(self.request.remote_ip or "").is_loopback
        except ValueError:
            return False

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
