"""From settings to a broker with everything around it: the only place that chooses adapters."""

from __future__ import annotations

import os
import platform
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlhub.adapters.clock import FileClock, SystemClock
from mlhub.adapters.hub import HubApi
from mlhub.adapters.notify import EventBus
from mlhub.adapters.nvml import NvmlInventory
from mlhub.adapters.processes import ProcessObserver, ProcessTable
from mlhub.adapters.simulated import SimulatedInventory
from mlhub.adapters.sql import SqlStore
from mlhub.broker.broker import Broker
from mlhub.broker.hardware import Hardware
from mlhub.broker.ports import Clock
from mlhub.configuration import Settings
from mlhub.core.errors import BadInput

AnyInventory = NvmlInventory | SimulatedInventory


@dataclass(frozen=True, slots=True)
class Built:
    """A broker, and the parts of it that a service serves beside it.

    Attributes:
        store: the ledger, and what is over.
        pids: who a local process is.
        inventory: the devices, and what runs on them.
        bus: what changed, for open pages.
    """

    broker: Broker
    store: SqlStore
    pids: ProcessObserver
    inventory: AnyInventory
    bus: EventBus
    clock: Clock


def build(settings: Settings, *, home: Path, hub_url: str, hub_token: str, gpus: str = "") -> Built:
    """Choose and connect the adapters of one machine.

    Args:
        settings: what mlhub.yaml says.
        home: where the ledger is, if the settings name no other place.
        hub_url: JupyterHub's API.
        hub_token: a service's token for it.
        gpus: where the devices come from, if that was decided already; else as the settings say.

    Raises:
        BadInput: a file that the settings name cannot be used.
    """
    clock = _clock(settings)
    store = SqlStore(ledger_url(settings, home, os.environ), clock)
    table = ProcessTable()
    pids = ProcessObserver(clock, table=table)
    inventory = _inventory(settings, gpus or settings.inventory.source, clock, table)
    bus = EventBus()
    broker = Broker(
        store=store, hardware=Hardware(inventory, clock), holders=pids,
        hub=HubApi(hub_url, hub_token), notifier=bus, clock=clock, policy=settings.policy(),
        new_id=lambda: uuid.uuid4().hex,
    )  # fmt: skip
    return Built(broker, store, pids, inventory, bus, clock)


def ledger_url(settings: Settings, home: Path, environ: Mapping[str, str]) -> str:
    """The address of the ledger: as it is set, else an SQLite file in the home.

    Raises:
        BadInput: the file or variable that is to hold it is not there.
    """
    ledger = settings.ledger
    if ledger.url_file is not None:
        try:
            return Path(ledger.url_file).read_text().strip()
        except OSError as error:
            raise BadInput("ledger.url_file", f"it cannot be read: {error.strerror}") from error
    if ledger.url_env is not None:
        if not environ.get(ledger.url_env):
            raise BadInput("ledger.url_env", f"{ledger.url_env} is not set")
        return environ[ledger.url_env]
    return ledger.url or f"sqlite:///{home / 'ledger.sqlite'}"


def _clock(settings: Settings) -> Clock:
    file = settings.simulation.clock_file
    return FileClock(Path(file)) if file is not None else SystemClock()


def _inventory(settings: Settings, source: str, clock: Clock, table: ProcessTable) -> AnyInventory:
    """NVML where there is a driver, or what is simulated; `none` is a simulation of nothing."""
    node = platform.node() or "this-machine"
    file = settings.inventory.simulated_file
    if source in {"auto", "nvml"}:
        real = NvmlInventory(node, clock, table.owner)
        if source == "nvml" or real.probe() is None:
            return real
        real.close()
    if source == "none":
        return SimulatedInventory.empty(clock)
    path = Path(file) if file is not None else None
    return SimulatedInventory(node, clock, table, file=path)
