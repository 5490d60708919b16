"""kill -9 of each process in the middle of a spawn, a queue wait and a stop: all comes right."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from mlhub.stack.leftovers import MARK
from tests.people import Person
from tests.running import Stack, running_stack
from tests.waiting import pause, wait_until

pytestmark = [pytest.mark.stack, pytest.mark.root]
FLAVOR = "a100-80gb-pcie"
GPUS = {"nodes": [{"gpus": [{"model": "NVIDIA A100 80GB PCIe", "count": 1, "memory": "80 GiB"}]}]}
OPTIONS = {"profile": "python", "gpu": FLAVOR, "count": "1"}
RIGHT_S = 90.0


@dataclass
class House:
    """A stack with one GPU, asked by programs."""

    stack: Stack

    def hub(self, method: str, path: str, **more: Any) -> requests.Response | None:
        """One call of the hub's API; None while it does not answer."""
        headers = {"Authorization": f"token {self.stack.token('quota')}"}
        url = f"{self.stack.url}hub/api/{path}"
        try:
            return requests.request(method, url, headers=headers, timeout=30, **more)
        except requests.RequestException:
            return None

    def quota(self, method: str, path: str, token: str = "operator", **more: Any) -> Any:
        """One call of the quota service; None while it does not answer."""
        headers = {"Authorization": f"token {self.stack.token(token)}", **more.pop("headers", {})}
        url = f"{self.stack.url}services/quota/api/v1/{path}"
        try:
            answer = requests.request(method, url, headers=headers, timeout=30, **more)
            return answer.json() if answer.status_code < 500 else None
        except (requests.RequestException, ValueError):
            return None

    def start(self, person: Person, **options: Any) -> None:
        body = {"user_options": OPTIONS | options}
        self.hub("POST", f"users/{person.name}/server", json=body)

    def is_ready(self, person: Person) -> bool:
        answer = self.hub("GET", f"users/{person.name}")
        servers = answer.json().get("servers", {}) if answer is not None and answer.ok else {}
        return any(row["ready"] for row in servers.values())

    def has_none(self, person: Person) -> bool:
        answer = self.hub("GET", f"users/{person.name}")
        return answer is not None and answer.ok and not answer.json().get("servers")

    def leases(self) -> list[dict[str, Any]] | None:
        found = self.quota("GET", "leases")
        return None if found is None else found.get("items")

    def started(self, person: Person) -> None:
        """Start a server and see it ready."""
        self.start(person)
        wait_until(lambda: self.is_ready(person), within_s=RIGHT_S, what="the server is ready")

    def processes(self) -> list[psutil.Process]:
        """The processes of users' servers, of this stack alone."""
        found = []
        for process in psutil.process_iter():
            try:
                words = process.environ()
                if words.get("MLHUB_LEASE_ID") and words.get(MARK) == str(self.stack.home):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def kill(self, victim: str) -> None:
        """End one of the processes without warning; a user's server as soon as there is one."""
        if victim == "server":
            for process in wait_until(self.processes, within_s=30, what="a user's server"):
                process.kill()
            return
        process = wait_until(lambda: self.stack.part(victim), within_s=30, what=victim)
        process.kill()

    def is_right(self) -> bool:
        """Whether servers, leases and processes tell one story, and the service finds no fault."""
        leases, findings = self.leases(), self.quota("GET", "doctor")
        hub = self.hub("GET", "")
        if leases is None or not isinstance(findings, list) or hub is None or not hub.ok:
            return False
        sound = all(row["ok"] for row in findings)
        settled = all(row["status"] == "active" for row in leases)
        return sound and settled and bool(leases) == bool(self.processes())


@pytest.fixture(scope="module")
def _house(open_directory: Path) -> Iterator[House]:
    home = open_directory / "kills"
    home.mkdir()
    gpus = home / "gpus.yaml"
    gpus.write_text(json.dumps(GPUS))
    with running_stack(home, settings={"mlflow": {"enabled": False}}, gpus_file=gpus) as stack:
        yield House(stack)


@pytest.fixture
def house(_house: House, ada: Person, bob: Person) -> Iterator[House]:
    for person in (ada, bob):
        _house.stack.sign_in(person.name, person.password).close()
    yield _house
    for person in (ada, bob):
        _house.hub("DELETE", f"users/{person.name}/server")
    wait_until(lambda: _house.leases() == [], within_s=RIGHT_S, what="everything is free again")


VICTIMS = ["hub", "proxy", "quota", "server"]


def comes_right(house: House) -> None:
    wait_until(house.is_right, within_s=RIGHT_S, what="everything is right again")


@pytest.mark.parametrize("victim", VICTIMS)
def test_in_the_middle_of_a_spawn(house, ada, victim):
    house.start(ada)
    if victim != "server":
        pause(0.5)
    house.kill(victim)
    comes_right(house)
    wait_until(  # the hub itself looks after a server that died only every 30 s
        lambda: house.is_ready(ada) if house.leases() else house.has_none(ada),
        within_s=RIGHT_S, what="hub and ledger agree",
    )  # fmt: skip


@pytest.mark.parametrize("victim", VICTIMS)
def test_in_the_middle_of_a_wait_in_the_queue(house, ada, bob, victim):
    house.started(ada)
    house.start(bob, wait=True)
    wait_until(lambda: house.quota("GET", "queue")["items"], within_s=30, what="bob waits")
    house.kill(victim)
    if victim != "server":
        gone: Callable[[], bool] = lambda: house.has_none(ada)  # noqa: E731
        wait_until(
            lambda: house.hub("DELETE", f"users/{ada.name}/server") is not None and gone(),
            within_s=RIGHT_S, what="ada's server is stopped",
        )  # fmt: skip
    wait_until(lambda: house.is_ready(bob), within_s=RIGHT_S, what="bob's server started by itself")
    comes_right(house)
    assert [row["user"] for row in house.leases()] == [bob.name]


@pytest.mark.parametrize("victim", VICTIMS)
def test_in_the_middle_of_a_stop(house, ada, victim):
    house.started(ada)
    house.hub("DELETE", f"users/{ada.name}/server")
    if victim == "server":
        for process in house.processes():
            process.kill()
    else:
        house.kill(victim)
    wait_until(
        lambda: house.leases() == [] or house.hub("DELETE", f"users/{ada.name}/server") is None,
        within_s=RIGHT_S, what="the lease is over",
    )  # fmt: skip
    comes_right(house)
