"""kill -9 of each process in the middle of a spawn, a queue wait and a stop: all comes right."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.people import Person
from tests.running import running_stack
from tests.stack.house import RIGHT_S, House, one_gpu
from tests.waiting import pause, wait_until

pytestmark = [pytest.mark.stack, pytest.mark.root]


@pytest.fixture(scope="module")
def _house(open_directory: Path) -> Iterator[House]:
    home = open_directory / "kills"
    home.mkdir()
    settings = {"mlflow": {"enabled": False}}
    with running_stack(home, settings=settings, gpus_file=one_gpu(home)) as stack:
        yield House(stack)


@pytest.fixture
def house(_house: House, ada: Person, bob: Person) -> Iterator[House]:
    with _house.lived_in_by(ada, bob):
        yield _house


VICTIMS = ["hub", "proxy", "quota", "server"]


@pytest.mark.parametrize("victim", VICTIMS)
def test_in_the_middle_of_a_spawn(house, ada, victim):
    house.start(ada)
    if victim != "server":
        pause(0.5)
    house.kill(victim)
    house.comes_right()
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
    house.comes_right()
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
    house.comes_right()
