"""Faults of the ledger, the disk, the clock and the GPUs under a whole stack: all comes right."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mlhub.adapters.clock import SystemClock
from mlhub.stack.ports import free_internal
from tests.parts import small_disk
from tests.people import Person
from tests.running import running_stack
from tests.stack.house import GPUS, RIGHT_S, House, one_gpu
from tests.waiting import wait_until

pytestmark = [pytest.mark.stack, pytest.mark.root]
SOON_S = 30.0
DISK_MIB = 24


@dataclass
class Lab(House):
    """A house whose clock, GPUs and the ledger's disk are in the tests' hands."""

    home: Path
    disk: Path

    @property
    def ledger(self) -> Path:
        return self.disk / "ledger.sqlite"

    def set_clock(self, passed: float, stepped: float = 0) -> None:
        """Time that has passed, and by how much the wall clock was set, in seconds."""
        (self.home / "clock").write_text(f"{passed} {stepped}\n")

    def set_gpus(self, count: int = 1, **more: Any) -> None:
        """What the driver shows from now on."""
        (gpus,) = GPUS["nodes"][0]["gpus"]
        text = json.dumps({"nodes": [{"gpus": [gpus | {"count": count}]}], **more})
        new = self.home / "gpus.new"
        new.write_text(text)
        new.replace(self.home / "gpus.yaml")

    def devices(self) -> list[dict[str, Any]]:
        return [row for node in self.quota("GET", "inventory")["nodes"] for row in node["devices"]]

    def doctor(self) -> list[str]:
        """What `mlhub doctor` calls a problem."""
        found = json.loads(self.stack.command("doctor", "--json").stdout)["found"]
        return [row["detail"] for row in found if row["level"] == "problem"]


@pytest.fixture(scope="module")
def _lab(open_directory: Path) -> Iterator[Lab]:
    home, disk = open_directory / "faults", open_directory / "ledger-disk"
    home.mkdir()
    disk.mkdir(mode=0o711)
    settings = {
        "mlflow": {"enabled": False},
        "simulation": {"clock_file": str(home / "clock")},
        "ledger": {"url": f"sqlite:///{disk / 'ledger.sqlite'}"},
        "limits": {"requests": {"burst": 10_000, "per_second": 1_000}},
    }
    # The hub itself has troubles of its own on a full disk: the ledger alone stands on it.
    with small_disk(disk, DISK_MIB):
        (home / "clock").write_text("0\n")
        with running_stack(home, settings=settings, gpus_file=one_gpu(home)) as stack:
            yield Lab(stack, home, disk)


@pytest.fixture
def lab(_lab: Lab, ada: Person, bob: Person) -> Iterator[Lab]:
    with _lab.lived_in_by(ada, bob):
        yield _lab
    assert _lab.doctor() == []


def server_of(lab: Lab) -> tuple[int, float]:
    """The first process of a user's server; another one after a restart."""
    first = min(lab.processes(), key=lambda process: (process.create_time(), process.pid))
    return first.pid, first.create_time()


def waits(lab: Lab) -> list[dict[str, Any]]:
    return lab.quota("GET", "queue")["items"]


def test_two_clicks_at_once_are_one_server_and_one_lease(lab: Lab, ada: Person):
    with ThreadPoolExecutor(4) as pool:
        answers = [click.result() for click in [pool.submit(lab.start, ada) for _ in range(4)]]
    codes = sorted(answer.status_code for answer in answers)
    assert codes[0] in {201, 202}
    assert set(codes[1:]) <= {201, 202, 400, 409}, [answer.text for answer in answers]
    for answer in answers:
        if answer.status_code == 409:
            assert "being started already" in answer.json()["message"]
    wait_until(lambda: lab.is_ready(ada), within_s=RIGHT_S, what="the server is ready")
    lab.comes_right()
    assert [row["user"] for row in lab.leases()] == [ada.name]
    granted = [row for row in lab.quota("GET", "audit")["items"] if row["action"] == "granted"]
    assert len([row for row in granted if row["user"] == ada.name]) == 1


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Somebody else writes to the ledger's file and does not come to an end."""
    other = sqlite3.connect(file, timeout=30, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
    finally:
        other.close()


def test_a_locked_ledger_refuses_in_words_and_goes_on_when_it_is_let_go(lab, ada, bob):
    lab.started(ada)
    before = server_of(lab)
    lab.start(bob, wait=True)
    wait_until(lambda: waits(lab), within_s=SOON_S, what="bob waits")
    with locked(lab.ledger):
        refused = lab.claim(bob.name, "while-locked", server="second", wait=True)
        wait_until(lab.reasons, within_s=SOON_S, what="the service is not ready")
    problem = refused.json()
    assert (refused.status_code, problem["type"]) == (503, "urn:mlhub:problem:ledger-unavailable")
    assert "locked" in problem["detail"]
    assert int(refused.headers["Retry-After"]) > 0
    wait_until(lambda: not lab.reasons(), within_s=SOON_S, what="the service is ready")
    assert server_of(lab) == before
    assert [row["user"] for row in waits(lab)] == [bob.name]
    again = lab.claim(bob.name, "while-locked", server="second", wait=True).json()
    assert (again["state"], again["position"]) == ("queued", 2)
    lab.quota("DELETE", f"claims/{again['claim']}", "spawner")
    lab.stop(ada)
    wait_until(lambda: lab.is_ready(bob), within_s=RIGHT_S, what="bob's turn")
    lab.comes_right()


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """Something else has taken all the room, and the ledger's file has kept none free."""
    ballast = disk / "ballast"
    with closing(sqlite3.connect(disk / "ledger.sqlite", timeout=30)) as other:
        emptied = lambda: other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0  # noqa: E731
        wait_until(emptied, within_s=30, what="nobody reads the ledger's log of writes")
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    try:
        yield
    finally:
        ballast.unlink()


def test_a_full_disk_shows_though_nobody_asks_for_anything(lab):
    with full(lab.disk):
        wait_until(lab.reasons, within_s=SOON_S, what="the service is not ready")
    wait_until(lambda: not lab.reasons(), within_s=SOON_S, what="the service is ready")


def test_a_full_disk_refuses_in_words_and_leaves_what_runs_alone(lab, ada, bob):
    lab.started(ada)
    before = server_of(lab)
    answers = []

    def refused() -> bool:
        """The last page that was begun takes a claim or two."""
        answers.append(lab.claim(bob.name, f"full-{len(answers)}", server=f"s{len(answers)}"))
        return answers[-1].json()["type"] == "urn:mlhub:problem:ledger-unavailable"

    with full(lab.disk):
        wait_until(refused, within_s=60, what="a claim is refused for want of room")
        assert answers[-1].status_code == 503
        assert "full" in answers[-1].json()["detail"]
        assert int(answers[-1].headers["Retry-After"]) > 0
        assert server_of(lab) == before
    again = lab.claim(bob.name, f"full-{len(answers) - 1}", server=f"s{len(answers) - 1}")
    assert again.json()["reason"] == "no-capacity"
    assert server_of(lab) == before
    lab.stop(ada)
    lab.started(bob)
    lab.comes_right()


def left(lease: dict[str, Any], now: float) -> float:
    """Minutes until the end that was promised, by a clock that stands so many seconds off."""
    ends = datetime.fromisoformat(lease["ends_at"])
    return (ends - SystemClock().now() - timedelta(seconds=now)).total_seconds() / 60


def steps(lab: Lab) -> list[str]:
    rows = lab.quota("GET", "audit?limit=500")["items"]
    return [row["detail"] for row in rows if row["action"] == "clock-stepped"]


def test_a_step_of_the_clock_ends_nothing_early_and_keeps_nothing_for_ever(lab, ada, bob):
    lab.start(ada, duration="40m")
    wait_until(lambda: lab.is_ready(ada), within_s=RIGHT_S, what="ada's server is ready")
    before = server_of(lab)
    lab.start(bob, wait=True)
    wait_until(lambda: waits(lab), within_s=SOON_S, what="bob waits")
    for number, stepped in enumerate((3600, -3600), 1):
        lab.set_clock(0, stepped)
        wait_until(lambda n=number: len(steps(lab)) == n, within_s=SOON_S, what="a logged step")
        (lease,) = lab.leases()
        assert (lease["user"], lease["status"], server_of(lab)) == (ada.name, "active", before)
        assert 35 < left(lease, stepped) <= 40
        assert [row["user"] for row in waits(lab)] == [bob.name]
    assert [round(int(text.split()[0]) / 60) for text in steps(lab)] == [-120, 60]
    lab.set_clock(15 * 60, -3600)
    wait_until(lambda: lab.leases()[0]["warned_at"], within_s=SOON_S, what="ada is warned")
    lab.set_clock(46 * 60, -3600)
    wait_until(lambda: lab.is_ready(bob), within_s=RIGHT_S, what="bob's turn came by time alone")
    assert lab.mine(ada.name)["ended"][0]["reason"] == "expired"
    lab.set_clock(46 * 60, 0)
    wait_until(lambda: len(steps(lab)) == 3, within_s=SOON_S, what="a logged step")
    assert [(row["user"], row["status"]) for row in lab.leases()] == [(bob.name, "active")]
    lab.set_clock(57 * 60, 0)
    wait_until(lambda: lab.leases() == [], within_s=RIGHT_S, what="the unused server's lease ends")
    assert lab.mine(bob.name)["ended"][0]["reason"] == "unused"


def test_gpus_that_fail_vanish_and_come_are_told_to_whom_it_concerns(lab, ada, bob):
    lab.started(ada)
    before, (uuid,) = server_of(lab), lab.leases()[0]["devices"]
    passed = float((lab.home / "clock").read_text().split()[0])
    lab.set_gpus(fail="the driver has gone away")
    lab.set_clock(passed + 61)
    wait_until(lab.reasons, within_s=SOON_S, what="the service is not ready")
    assert "the GPUs have not answered lately" in lab.reasons()
    assert any("the driver has gone away" in text for text in lab.doctor())
    lab.set_gpus(2, vanish=[0])
    wait_until(lambda: not lab.reasons(), within_s=SOON_S, what="the service is ready")
    told = wait_until(
        lambda: [row["text"] for row in lab.mine(ada.name)["notices"] if uuid and row["lease_id"]],
        within_s=SOON_S, what="ada is told",
    )  # fmt: skip
    assert "A GPU of your server has failed: it is no longer there" in told[-1]
    states = {row["uuid"]: row["state"] for row in lab.devices()}
    assert len(states) == 2
    assert any("it is no longer there" in text and uuid in text for text in lab.doctor())
    lab.started(bob)  # on the new one
    assert sorted(row["user"] for row in lab.leases()) == sorted([ada.name, bob.name])
    assert server_of(lab) == before
    assert uuid not in next(row["devices"] for row in lab.leases() if row["user"] == bob.name)
    lab.stop(ada)
    wait_until(lambda: len(lab.leases()) == 1, within_s=RIGHT_S, what="ada's lease is over")
    refused = lab.claim(ada.name, "on-a-lost-gpu")
    assert refused.json()["reason"] in {"no-capacity", "out-of-service"}
    lab.set_gpus(2)
    wait_until(lambda: lab.doctor() == [], within_s=SOON_S, what="all GPUs are back")


def test_a_second_service_on_the_same_ledger_waits_and_says_so(lab, ada):
    lab.started(ada)
    first = lab.stack.part("quota")
    port = free_internal(1)[0]
    address = f"http://127.0.0.1:{port}/services/quota/"
    environ = first.environ() | {"JUPYTERHUB_SERVICE_URL": address}
    with (lab.home / "second.txt").open("wb") as file:
        second = subprocess.Popen(first.cmdline(), env=environ, stderr=file, stdout=file)
    try:
        said = wait_until((lab.home / "second.txt").read_text, within_s=SOON_S, what="a word of it")
        assert "waiting for the ledger, and not listening until then" in said
        assert "is owned by" in said
        lab.comes_right()
        assert lab.stack.part("quota") == first
    finally:
        second.kill()
        second.wait()
