"""What Prometheus sees of the service: counters as things happen, gauges at each scrape."""

from __future__ import annotations

from collections import Counter as Tally
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from mlhub.core.availability import FlavorState
from mlhub.core.decisions import Decision, Granted, Queued
from mlhub.core.leases import LeaseStatus
from mlhub.core.ledger import Ledger

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
FLAVOR_STATES: Final = ("free", "kept", "held", "out-of-service")
SECONDS: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


class Metrics:
    """All metrics of one service, in a registry of their own. No name of a person is in them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._devices = self._gauge("devices", "Units that leases may have.", "flavor", "state")
        self._queue = self._gauge("queue_length", "Claims that wait.", "flavor")
        self._leases = self._gauge("leases", "Live leases.", "status")
        self._strays = self._gauge("strays", "Processes that use GPUs outside a lease.")
        self._streams = self._gauge("event_streams", "Open streams of events.")
        self._sweep = self._gauge("sweep_age_seconds", "Time since a sweep went through.")
        self._inventory = self._gauge("inventory_age_seconds", "Time since the GPUs answered.")
        self.store_errors = Counter(
            "mlhub_store_errors", "The ledger could not be reached.", registry=self.registry
        )
        self.claims = Counter(
            "mlhub_claims", "Claims that were decided, repeats too.", ("decision", "reason"),
            registry=self.registry,
        )  # fmt: skip
        self.decision_seconds = Histogram(
            "mlhub_decision_seconds", "From a claim's arrival to its answer.",
            buckets=SECONDS, registry=self.registry,
        )  # fmt: skip
        self.requests = Counter(
            "mlhub_http_requests", "Requests that were answered.", ("method", "route", "status"),
            registry=self.registry,
        )  # fmt: skip

    def decided(self, decision: Decision, seconds: float) -> None:
        """A claim was answered."""
        self.decision_seconds.observe(seconds)
        self.claims.labels(*_words(decision)).inc()

    def ledger(self, ledger: Ledger, flavors: tuple[FlavorState, ...]) -> None:
        """The ledger and the devices, as they are at a scrape."""
        self._devices.clear()
        self._queue.clear()
        for row in flavors:
            counts = (row.free - row.kept, row.kept, row.held, row.out_of_service)
            for state, count in zip(FLAVOR_STATES, counts, strict=True):
                self._devices.labels(row.flavor.name, state).set(count)
            self._queue.labels(row.flavor.name).set(row.waiting)
        status = Tally(lease.status for lease in ledger.leases.values())
        for name in (LeaseStatus.HELD, LeaseStatus.ACTIVE, LeaseStatus.ENDING):
            self._leases.labels(name).set(status[name])

    def service(
        self, *, strays: int, streams: int, sweep_age: float | None, inventory_age: float | None
    ) -> None:
        """The service itself, as it is at a scrape; an age that is not known is NaN."""
        self._strays.set(strays)
        self._streams.set(streams)
        self._sweep.set(float("nan") if sweep_age is None else sweep_age)
        self._inventory.set(float("nan") if inventory_age is None else inventory_age)

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self.registry)

    def _gauge(self, name: str, says: str, *labels: str) -> Gauge:
        return Gauge(f"mlhub_{name}", says, labels, registry=self.registry)


def _words(decision: Decision) -> tuple[str, str]:
    if isinstance(decision, Granted):
        return "granted", "granted"
    if isinstance(decision, Queued):
        return "queued", str(decision.reason)
    return "denied", str(decision.reason)
