"""A part that runs and does not answer (here: suspended) is ended and started anew."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from tests.running import Stack, running_stack
from tests.waiting import wait_until

pytestmark = pytest.mark.stack
PARTS = ("proxy", "hub", "quota", "mlflow")
NOTICED_S = 30.0
RIGHT_S = 120.0


@pytest.fixture
def own(open_directory: Path) -> Iterator[Stack]:
    with running_stack(open_directory / "hung", words=["--gpus", "simulated"]) as stack:
        yield stack


def states(stack: Stack) -> dict[str, dict[str, object]]:
    found = json.loads(stack.command("status", "--json").stdout)
    return {part["name"]: part for part in found["parts"]}


def test_every_part_that_hangs_is_noticed_ended_and_started_anew(own: Stack):
    wait_until(
        lambda: all(part["answers"] for part in states(own).values()),
        within_s=RIGHT_S,
        what="every part's first answer",
    )
    hung = {name: own.part(name) for name in PARTS}
    for process in hung.values():
        process.send_signal(signal.SIGSTOP)
    wait_until(
        lambda: all(part["answers"] is False for part in states(own).values()),
        within_s=NOTICED_S,
        what="asks without answers",
    )
    told = own.command("status")
    assert (told.returncode, told.stdout.count("not answering")) == (1, 4)
    wait_until(
        lambda: all(part["restarts"] == 1 and part["answers"] for part in states(own).values()),
        within_s=RIGHT_S,
        what="four new processes that answer",
    )
    assert not [name for name, process in hung.items() if lives(process)]
    for name in PARTS:
        assert f"{name} hangs: it runs and has not answered for 45 s; ending it" in own.said()
    assert own.command("status").returncode == 0
    wait_until(
        lambda: requests.get(f"{own.url}hub/login", timeout=10).ok,
        within_s=RIGHT_S,
        what="the sign-in page",
    )


def lives(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
