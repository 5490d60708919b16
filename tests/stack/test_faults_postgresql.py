"""A PostgreSQL that goes away and comes back, or is locked, under a whole stack."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url

from tests.adapters.postgres import Postgres, running_postgres
from tests.people import Person
from tests.running import running_stack
from tests.stack.house import RIGHT_S, House, one_gpu
from tests.waiting import wait_until

pytestmark = [pytest.mark.stack, pytest.mark.root, pytest.mark.postgres]
SOON_S = 40.0


@dataclass
class Shared(House):
    """A house whose ledger is in PostgreSQL."""

    server: Postgres
    database: str


@pytest.fixture(scope="module")
def _shared(open_directory: Path) -> Iterator[Shared]:
    home = open_directory / "faults-postgresql"
    home.mkdir(mode=0o711)
    address = home / "ledger-url"
    with running_postgres() as server:
        address.write_text(database := server.new_database())
        address.chmod(0o600)
        settings = {"mlflow": {"enabled": False}, "ledger": {"url_file": str(address)}}
        with running_stack(home, settings=settings, gpus_file=one_gpu(home)) as stack:
            yield Shared(stack, server, database)


@pytest.fixture
def house(_shared: Shared, ada: Person, bob: Person) -> Iterator[Shared]:
    with _shared.lived_in_by(ada, bob):
        yield _shared
        _shared.server.start()


def full_and_waited_for(house: House, ada: Person, bob: Person) -> None:
    """Ada has the only GPU, and bob waits for it."""
    house.started(ada)
    house.start(bob, wait=True)
    wait_until(lambda: house.quota("GET", "queue")["items"], within_s=SOON_S, what="bob waits")


def is_told_plainly(answer) -> bool:
    problem = answer.json()
    assert answer.status_code == 503, problem
    assert problem["type"] == "urn:mlhub:problem:ledger-unavailable"
    assert problem["detail"].startswith("The ledger ")
    assert int(answer.headers["Retry-After"]) > 0
    return True


def test_a_database_that_goes_away_and_comes_back_costs_nobody_anything(house, ada, bob):
    full_and_waited_for(house, ada, bob)
    process = house.processes()[0]
    house.server.stop()
    with ThreadPoolExecutor(2) as pool:
        claimed = pool.submit(house.claim, bob.name, "while-away", server="second", wait=True)
        started = pool.submit(house.start, bob)
        wait_until(house.reasons, within_s=SOON_S, what="the service is not ready")
        assert is_told_plainly(claimed.result())
    refused = started.result()
    assert refused is not None
    assert 400 <= refused.status_code < 600
    assert "Traceback" not in refused.text
    assert process.is_running()
    house.stop(ada)  # the release finds no ledger either
    house.server.start()
    wait_until(lambda: not house.reasons(), within_s=SOON_S, what="the service is ready")
    again = house.claim(bob.name, "while-away", server="second", wait=True).json()
    assert again["state"] in {"queued", "denied"}
    if again["state"] == "queued":
        house.quota("DELETE", f"claims/{again['claim']}", "spawner")
    wait_until(lambda: house.is_ready(bob), within_s=RIGHT_S, what="bob's server started by itself")
    house.comes_right()
    assert [row["user"] for row in house.leases()] == [bob.name]
    ended = house.quota("GET", "leases?state=ended")["items"]
    assert [row["user"] for row in ended] == [ada.name]
    assert house.quota("GET", "queue")["items"] == []


@contextmanager
def locked(database: str) -> Iterator[None]:
    """Somebody else has locked every table of the ledger and does not come to an end."""
    address = make_url(database).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(address) as other:
        rows = other.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        names = ", ".join(row[0] for row in rows.fetchall())
        other.execute(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE")
        yield
        other.rollback()


def test_a_locked_database_refuses_in_words_and_goes_on_when_it_is_let_go(house, ada, bob):
    full_and_waited_for(house, ada, bob)
    process = house.processes()[0]
    with locked(house.database):
        refused = house.claim(bob.name, "while-locked", server="second", wait=True)
        assert is_told_plainly(refused)
        wait_until(house.reasons, within_s=SOON_S, what="the service is not ready")
    wait_until(lambda: not house.reasons(), within_s=SOON_S, what="the service is ready")
    assert process.is_running()
    house.stop(ada)
    wait_until(lambda: house.is_ready(bob), within_s=RIGHT_S, what="bob's server started by itself")
    house.comes_right()
    assert [row["user"] for row in house.leases()] == [bob.name]
