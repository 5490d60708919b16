"""From settings to a broker with everything around it: the only place that chooses adapters."""

from __future__ import annotations

import os
import platform
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mlhub import private_files
from mlhub.adapters.clock import FileClock, SystemClock
from mlhub.adapters.hub import HubApi
from mlhub.adapters.notify import EventBus
from mlhub.adapters.nvml import NvmlInventory
from mlhub.adapters.processes import ProcessObserver, ProcessTable
from mlhub.adapters.simulated import SimulatedInventory
from mlhub.adapters.sql import SqlStore
from mlhub.broker.broker import Broker
from mlhub.broker.hardware import Hardware
from mlhub.broker.looking import SharedLook
from mlhub.broker.ports import Clock
from mlhub.configuration import Settings
from mlhub.configuration.flavors import RequestsSettings
from mlhub.core.errors import BadInput
from mlhub.core.health import Signs, Verdict

AnyInventory = NvmlInventory | SimulatedInventory
ID_BYTES: Final = 8  # short enough to be typed; the ledger refuses one that is there already


@dataclass(frozen=True, slots=True)
class Built:
    """A broker, and the parts of it that a service serves beside it.

    Attributes:
        store: the ledger, and what is over.
        pids: who a local process is, and whether it runs.
        inventory: the devices, and what runs on them.
        bus: what changed, for open pages.
        requests: how often each user may ask for changes.
    """

    broker: Broker
    store: SqlStore
    pids: ProcessObserver
    inventory: AnyInventory
    bus: EventBus
    clock: Clock
    requests: RequestsSettings


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
        store=store, hardware=Hardware(inventory, clock), holders=SharedLook(pids),
        hub=HubApi(hub_url, hub_token), notifier=bus, clock=clock, policy=settings.policy(),
        new_id=new_id,
    )  # fmt: skip
    return Built(broker, store, pids, inventory, bus, clock, settings.limits.requests)


def new_id() -> str:
    """An id of a claim or a lease, that nobody can guess."""
    return secrets.token_hex(ID_BYTES)


def ledger_url(settings: Settings, home: Path, environ: Mapping[str, str]) -> str:
    """The address of the ledger: as it is set, else an SQLite file in the home.

    Raises:
        BadInput: the file or variable that is to hold it is not there, or open to others.
    """
    ledger = settings.ledger
    if ledger.url_file is not None:
        return _from_secret_file(ledger.url_file, "ledger.url_file")
    if ledger.url_env is not None:
        if not environ.get(ledger.url_env):
            raise BadInput("ledger.url_env", f"there is no variable {ledger.url_env}", "set it")
        return environ[ledger.url_env].strip()
    return ledger.url or f"sqlite:///{home.absolute() / 'ledger.sqlite'}"


def _from_secret_file(path: Path, setting: str) -> str:
    """The content of a file that nobody else may read: it may hold a password."""
    try:
        return private_files.read(path, remedy="write the ledger's address into it")
    except private_files.Unusable as error:
        raise BadInput(setting, error.problem, error.remedy) from error


def _clock(settings: Settings) -> Clock:
    file = settings.simulation.clock_file
    return FileClock(Path(file)) if file is not None else SystemClock()


def _inventory(settings: Settings, source: str, clock: Clock, table: ProcessTable) -> AnyInventory:
    """NVML where there is a driver, or what is simulated; `none` is a simulation of nothing."""
    node = platform.node() or "this-machine"
    file = settings.inventory.simulated_file
    if source in {"auto", "nvml"}:
        verdicts = {name: Verdict(word) for name, word in settings.inventory.health.items()}
        real = NvmlInventory(node, clock, table.owner, signs=Signs(verdicts))
        if source == "nvml" or not real.is_absent():
            return real
        real.close()
    if source == "none":
        return SimulatedInventory.empty(clock)
    path = Path(file) if file is not None else None
    return SimulatedInventory(node, clock, table, file=path)
