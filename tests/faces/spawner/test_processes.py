"""Which process is which, and the end of everything that a server started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import psutil
import pytest

from mlhub.core.claims import Placement
from mlhub.ending import mark_of
from mlhub.spawner.local import apply_placement
from mlhub.spawner.processes import Identified, belonging, end_all, is_same
from tests.people import Person
from tests.waiting import wait_until

SLEEP = "import time; time.sleep(300)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + (
    "print('ready', flush=True); time.sleep(300)"
)
PARENT = f"""
import subprocess, sys, time
words = [sys.executable, "-c", {SLEEP!r}]
near, far = subprocess.Popen(words), subprocess.Popen(words, start_new_session=True)
print(near.pid, far.pid, flush=True)
time.sleep(300)
"""


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes of a test, ended with all that they started."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        left = psutil.Process(process.pid).children(recursive=True) if runs(process.pid) else []
        for one in (*left, process):
            one.kill()
        process.communicate()


def run(started: list[subprocess.Popen[str]], program: str, **more: object) -> Identified:
    process = subprocess.Popen(
        [sys.executable, "-c", program], text=True, stdout=subprocess.PIPE,
        start_new_session=True, **more,
    )  # fmt: skip
    started.append(process)
    return Identified(process.pid, mark_of(process.pid))


def runs(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def identified(*pids: int) -> set[Identified]:
    return {Identified(pid, mark_of(pid)) for pid in pids}


def test_a_process_is_the_same_while_it_runs_and_no_longer(started: list) -> None:
    process = run(started, SLEEP)
    assert is_same(process)
    assert not is_same(replace(process, mark=mark_of(os.getpid())))
    os.kill(process.pid, signal.SIGKILL)
    wait_until(lambda: not is_same(process), within_s=5, what="the end")
    assert mark_of(process.pid) == ""  # nobody has waited for it yet: a zombie is no process
    assert not is_same(Identified(0, ""))


async def test_a_server_is_found_with_all_that_it_started(started: list) -> None:
    server = run(started, PARENT, env=os.environ | {"MLHUB_LEASE_ID": "lease-of-this-test"})
    near, far = map(int, started[0].stdout.readline().split())
    found = belonging(server, "", uid=os.getuid())
    assert found == {server, *identified(near, far)}
    os.kill(server.pid, signal.SIGKILL)
    started[0].wait()
    assert belonging(server, "", uid=os.getuid()) == identified(near)
    assert belonging(server, "lease-of-this-test", uid=os.getuid()) == identified(near, far)
    await end_all(identified(near, far), patience_s=0)
    assert not (runs(near) or runs(far))


async def test_a_number_that_another_process_has_now_leads_to_nobody(started: list) -> None:
    other = run(started, PARENT)
    started[0].stdout.readline()
    former = replace(other, mark="an earlier one")
    assert belonging(former, "", uid=os.getuid()) == set()
    await end_all({former}, patience_s=0)
    assert is_same(other)


@pytest.mark.root
def test_a_lease_in_the_environment_of_somebody_elses_process_means_nothing(
    ada: Person, started: list
) -> None:
    theirs = ada.popen(["/usr/bin/sleep", "300"], environ={"MLHUB_LEASE_ID": "stolen"})
    started.append(theirs)
    mine = run(started, SLEEP, env=os.environ | {"MLHUB_LEASE_ID": "stolen"})
    gone = Identified(2**22 + 1, "gone")
    assert belonging(gone, "stolen", uid=os.getuid()) == {mine}


async def test_what_does_not_heed_a_request_to_end_is_killed(started: list) -> None:
    stubborn, meek = run(started, STUBBORN), run(started, SLEEP)
    started[0].stdout.readline()
    await end_all({stubborn, meek}, patience_s=0.3)
    wait_until(lambda: not is_same(stubborn), within_s=5, what="the end of the stubborn one")
    assert not is_same(meek)


def test_a_server_with_a_lease_sees_its_devices_and_nothing_else() -> None:
    inherited = {"PATH": "/bin", "CUDA_VISIBLE_DEVICES": "0,1", "NVIDIA_VISIBLE_DEVICES": "all"}
    placement = Placement("here", ("GPU-1", "GPU-2"))
    words = {"lease_id": "l1", "api_url": "http://h/services/quota/api/v1"}
    assert apply_placement(inherited, placement, **words) == {
        "PATH": "/bin",
        "CUDA_VISIBLE_DEVICES": "GPU-1,GPU-2",
        "NVIDIA_VISIBLE_DEVICES": "GPU-1,GPU-2",
        "MLHUB_LEASE_ID": "l1",
        "MLHUB_API_URL": "http://h/services/quota/api/v1",
    }
    assert apply_placement(inherited, placement, simulated=True, **words)["MLHUB_SIMULATED"] == "1"
    assert inherited["CUDA_VISIBLE_DEVICES"] == "0,1"


def test_a_server_without_a_lease_sees_no_device_at_all() -> None:
    assert apply_placement({"CUDA_VISIBLE_DEVICES": "0"}, None) == {
        "CUDA_VISIBLE_DEVICES": "",
        "NVIDIA_VISIBLE_DEVICES": "void",
    }
