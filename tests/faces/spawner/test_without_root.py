"""A hub without root: one named person, several servers, no other name."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faces.spawner.conftest import forget
from tests.faces.spawner.hubs import ROOT, SpawnHub, running_hub
from tests.faces.spawner.small_service import SmallService
from tests.parts import missing
from tests.people import Person

pytestmark = [pytest.mark.stack, pytest.mark.root]


def require_a_python_for_all(person: Person) -> None:
    """Ends the test where this checkout or its environment is closed to other OS users."""
    program = "import jupyterhub, mlhub.spawner.local"
    words = {"environ": {"PYTHONPATH": str(ROOT)}, "stderr": subprocess.DEVNULL}
    if person.popen([sys.executable, "-c", program], **words).wait(60) != 0:
        missing(f"{ROOT} or {sys.executable} cannot be read by other OS users")


@pytest.fixture(scope="module")
def hub(open_directory: Path, running_service: SmallService, ada: Person) -> Iterator[SpawnHub]:
    require_a_python_for_all(ada)
    forget(running_service)
    hub = SpawnHub(open_directory / "without-root", running_service, person=ada)
    with running_hub(hub):
        hub.add_user(ada.name)
        yield hub


def test_every_server_runs_as_the_one_person_in_their_home(
    hub: SpawnHub, running_service: SmallService, ada: Person
) -> None:
    for server in ("", "train"):
        answer = hub.spawn(ada.name, {"gpu": "a100"}, server)
        assert answer.status_code == 201, answer.text
        hub.wait_ready(ada.name, server)
        facts = hub.facts(ada.name, server)
        assert (facts["uid"], facts["cwd"]) == (ada.uid, str(ada.home))
        assert facts["environment"]["HOME"] == str(ada.home)
    devices = {row["devices"][0] for row in running_service.live()}
    assert len(devices) == 2
    for server in ("", "train"):
        hub.stop_server(ada.name, server)
    assert running_service.live() == []


def test_nobody_else_gets_a_server(
    hub: SpawnHub, running_service: SmallService, ada: Person, bob: Person
) -> None:
    forget(running_service)
    hub.add_user(bob.name)
    answer = hub.spawn(bob.name, {"gpu": "a100"})
    assert answer.status_code == 403
    assert f"starts servers for '{ada.name}' only" in answer.json()["message"]
    assert running_service.calls("POST", "/claims") == []
