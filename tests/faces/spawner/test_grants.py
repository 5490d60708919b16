"""The true quota service, run by a hub of either version from three lines of configuration."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.faces.spawner.conftest import VERSIONS, python_of
from tests.faces.spawner.hubs import SpawnHub, end_servers, running_hub
from tests.people import Person
from tests.waiting import wait_until

pytestmark = [pytest.mark.stack, pytest.mark.root]

GPUS = {"nodes": [{"gpus": [{"model": "NVIDIA A100 80GB PCIe", "count": 1, "memory": "80 GiB"}]}]}
FORM = {"profile": "python", "profile-option-python--gpu": "a100-80gb-pcie"}
ASK = {"profile": "python", "gpu": "a100-80gb-pcie"}


@pytest.fixture(scope="module", params=VERSIONS)
def true_hub(
    request: pytest.FixtureRequest, open_directory: Path, ada: Person, bob: Person
) -> Iterator[SpawnHub]:
    place = open_directory / f"{request.param}-grants"
    place.mkdir()
    (place / "gpus.yaml").write_text(json.dumps(GPUS))
    settings = {"inventory": {"source": "simulated", "simulated_file": str(place / "gpus.yaml")}}
    hub = SpawnHub(place, python=python_of(request.param), settings=settings)
    with running_hub(hub):
        for person in (ada, bob):
            hub.add_user(person.name)
        wait_until(lambda: answers(hub), within_s=60, what="the quota service")
        yield hub


@pytest.fixture
def hub(true_hub: SpawnHub) -> Iterator[SpawnHub]:
    yield true_hub
    end_servers(true_hub)
    wait_until(lambda: not leases(true_hub), within_s=30, what="the end of the leases")


def answers(hub: SpawnHub) -> bool:
    try:
        return "flavors" in hub.quota("inventory")
    except (OSError, ValueError):
        return False


def leases(hub: SpawnHub) -> list[dict[str, Any]]:
    return list(hub.quota("leases?state=live")["items"])


def test_a_server_starts_on_the_gpu_that_the_true_service_leased(
    hub: SpawnHub, ada: Person
) -> None:
    assert hub.spawn(ada.name, ASK).status_code == 201
    hub.wait_ready(ada.name)
    (lease,) = leases(hub)
    environment = hub.facts(ada.name)["environment"]
    assert (lease["user"], lease["status"]) == (ada.name, "active")
    assert environment["CUDA_VISIBLE_DEVICES"] == lease["devices"][0]
    assert environment["MLHUB_SIMULATED"] == "1"
    hub.stop_server(ada.name)
    wait_until(lambda: not leases(hub), within_s=5, what="the end of the lease")


def test_who_waits_gets_the_server_by_itself_when_the_gpu_is_given_back(
    hub: SpawnHub, ada: Person, bob: Person
) -> None:
    assert hub.spawn(ada.name, ASK).status_code == 201
    hub.wait_ready(ada.name)
    session = hub.sign_in(bob.name)
    answer = hub.post_form(session, FORM | {"wait": "1"})
    assert answer.status_code == 303, answer.text
    page = session.get(hub.url + answer.headers["Location"], timeout=30)
    assert page.status_code == 200
    assert "1st" in page.text
    held = hub.facts(ada.name)["environment"]["CUDA_VISIBLE_DEVICES"]
    hub.stop_server(ada.name)
    hub.wait_ready(bob.name)
    environment = hub.facts(bob.name)["environment"]
    assert environment["CUDA_VISIBLE_DEVICES"] == held
    (lease,) = leases(hub)
    assert (lease["user"], lease["from_queue"]) == (bob.name, True)
    assert environment["MLHUB_LEASE_ID"] == lease["id"]


def test_two_at_once_on_the_last_gpu_one_gets_it_the_other_is_told(
    hub: SpawnHub, ada: Person, bob: Person
) -> None:
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda who: hub.spawn(who.name, ASK), (ada, bob)))
    assert sorted(answer.status_code for answer in found) == [201, 503]
    (refused,) = [answer for answer in found if answer.status_code == 503]
    assert "All 1 A100 80GB PCIe are in use" in refused.json()["message"]
    assert "you would be 1st in the queue" in refused.json()["message"]


def test_the_form_shows_what_the_true_service_knows(hub: SpawnHub, ada: Person) -> None:
    session = hub.sign_in(ada.name)

    def shown() -> bool:
        page = session.get(f"{hub.url}/hub/spawn", timeout=30).text
        return "1 of 1 free" in page and "starts now" in page

    wait_until(shown, within_s=10, what="a fresh form")  # it may be two seconds old
