"""A small quota service, and hubs of both versions that ask it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faces.spawner.hubs import SpawnHub, end_servers, running_hub
from tests.faces.spawner.small_service import SmallFlavor, SmallService
from tests.hub_55 import hub_55_python
from tests.people import Person

VERSIONS = ("hub-6", "hub-5.5")


def flavors() -> list[SmallFlavor]:
    return [SmallFlavor("a100", "A100 80 GB", 2, price=1.2), SmallFlavor("t4", "T4", 1, 15360)]


def python_of(version: str) -> Path:
    return Path(hub_55_python() if version == "hub-5.5" else sys.executable)


@pytest.fixture(scope="module")
def running_service() -> Iterator[SmallService]:
    with SmallService().running() as service:
        yield service


@pytest.fixture
def service(running_service: SmallService) -> SmallService:
    """The small service, as if it had just begun."""
    forget(running_service)
    return running_service


def forget(service: SmallService) -> None:
    service.flavors[:] = flavors()
    for memory in (service.claims, service.leases, service.limits):
        memory.clear()
    for rows in (service.keys, service.asked, service.faults):
        rows.clear()
    service.holder_is_over = service.simulated = False


@pytest.fixture(scope="module", params=VERSIONS)
def module_hub(
    request: pytest.FixtureRequest,
    open_directory: Path,
    running_service: SmallService,
    ada: Person,
    bob: Person,
) -> Iterator[SpawnHub]:
    """A hub as root, where Ada and Bob are OS users."""
    forget(running_service)
    place = open_directory / f"{request.param}-{request.module.__name__}"
    settings = {"config": {"Spawner": {"consecutive_failure_limit": 5}}}
    python = python_of(request.param)
    hub = SpawnHub(place, running_service, python=python, **settings)
    hub.environment = {"TINY_CHILDREN": "1"}
    with running_hub(hub):
        for person in (ada, bob):
            hub.add_user(person.name)
        yield hub


@pytest.fixture
def hub(module_hub: SpawnHub, service: SmallService) -> Iterator[SpawnHub]:
    """That hub, with no server running before and after."""
    yield module_hub
    service.faults.clear()
    end_servers(module_hub)
