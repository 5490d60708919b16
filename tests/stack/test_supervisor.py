"""The supervisor: back-off, adoption of orphans, and an end that leaves nothing behind."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from mlhub.stack import leftovers
from mlhub.stack.health import Patience, until_hung
from mlhub.stack.home import Home, prepare
from mlhub.stack.parts import Part
from mlhub.stack.ports import free_internal
from mlhub.stack.supervisor import (
    SET_CHILD_SUBREAPER,
    Supervisor,
    Watch,
    delay_after,
    describe_exit,
)
from mlhub.stack.wiring import load_json
from tests.waiting import wait_until

# It leaves a grandchild in a session of its own, without our mark in its environment.
LEAVES_AN_ORPHAN = """
import subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"],
                 env={}, start_new_session=True)
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    prepare(home)
    return home


def part(home: Home, code: str) -> Part:
    environment = {**os.environ, leftovers.MARK: str(home.path)}
    return Part("script", (sys.executable, "-c", code), environment, home.run)


async def nothing() -> None:
    """Ends nothing in an orderly way."""


def supervisor_of(home: Home, said: list[str]) -> Supervisor:
    async def revived(_name: str) -> None: ...

    return Supervisor(home, said.append, revived)


async def until(look, *, within_s: float, what: str):
    return await asyncio.to_thread(wait_until, look, within_s=within_s, what=what)


def test_the_first_end_is_answered_at_once_and_later_ones_ever_more_slowly():
    delays = [delay_after(failures) for failures in range(12)]
    assert delays[0] == delays[1] == 0.5
    assert delays == sorted(delays)
    assert delays[-1] == 60


@pytest.mark.parametrize(
    ("code", "words"),
    [(0, "exit code 0"), (3, "exit code 3"), (-9, "by SIGKILL"), (-99, "by signal 99")],
)
def test_an_end_is_told_in_words(code: int, words: str):
    assert describe_exit(code) == words


async def test_a_part_that_keeps_ending_is_named_with_its_log(home: Home):
    said: list[str] = []
    supervisor = supervisor_of(home, said)
    supervisor.start(part(home, "raise SystemExit('no such thing')"))
    watch = supervisor.watches["script"]
    await until(lambda: watch.failures >= 4, within_s=20, what="four failures")
    await supervisor.stop(first=nothing)
    assert "script ended (exit code 1); starting it again in 0.5 s" in said
    assert f"script keeps ending: its log is {home.logs}/script.log" in said
    assert "no such thing" in (home.logs / "script.log").read_text()


async def test_a_command_that_is_missing_does_not_end_the_supervisor(home: Home):
    said: list[str] = []
    supervisor = supervisor_of(home, said)
    supervisor.start(Part("ghost", ("/no/such/command",), {}, home.run))
    await until(lambda: len(said) >= 2, within_s=10, what="two tries")
    await supervisor.stop(first=nothing)
    assert "ghost ended (it could not be started); starting it again in 0.5 s" in said


@pytest.fixture
def adopting() -> Iterator[None]:
    """Undoes, at the end, that this process adopts orphans: other tests have theirs."""
    yield
    ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 0, 0, 0, 0)


@pytest.mark.usefixtures("adopting")
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process adopt orphans")
async def test_an_orphan_that_hides_is_ended_with_the_stack(home: Home):
    supervisor = supervisor_of(home, [])
    supervisor.adopt_orphans()
    supervisor.start(part(home, LEAVES_AN_ORPHAN + "import time; time.sleep(600)"))
    hidden = await until(hidden_child, within_s=10, what="the grandchild")
    first = supervisor.watches["script"].process
    first.kill()
    await until(lambda: hidden.ppid() == os.getpid(), within_s=5, what="its adoption")
    await supervisor.stop(first=nothing)
    assert leftovers.is_dead(hidden)


@pytest.mark.usefixtures("adopting")
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process adopt orphans")
def test_an_orphan_s_end_is_noted_behind_a_stranger_s_that_is_left_alone(home: Home):
    with subprocess.Popen(["/bin/sh", "-c", "exit 7"]) as stranger:
        older = psutil.Process(stranger.pid)
        wait_until(lambda: leftovers.is_dead(older), within_s=5, what="the stranger's end")
        supervisor = supervisor_of(home, [])
        supervisor.adopt_orphans()
        leave = ["/bin/sh", "-c", "sleep 0.1 >/dev/null & echo $!"]
        orphan = int(subprocess.run(leave, capture_output=True, check=True).stdout)

        def reaped() -> bool:
            supervisor.chores.reap()
            return not psutil.pid_exists(orphan)

        wait_until(reaped, within_s=5, what="a note of the orphan's end")
        assert stranger.wait() == 7


def hidden_child() -> psutil.Process | None:
    found = [p for p in psutil.Process().children(recursive=True) if "time.sleep(600)" in cmd(p)]
    return next((p for p in found if leftovers.MARK not in environment_of(p)), None)


def cmd(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def environment_of(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except psutil.Error:
        return {leftovers.MARK: "gone"}


ANSWERS = """
import http.server
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(503)  # ill is not dead
http.server.HTTPServer(("127.0.0.1", {port}), Page).serve_forever()
"""
IMPATIENT = Patience(every_s=0.05, within_s=0.5, asks=3)


@pytest.fixture
async def watched(home: Home) -> AsyncIterator[tuple[Supervisor, Watch, list[str]]]:
    """A supervised page that answers."""
    said: list[str] = []
    supervisor = supervisor_of(home, said)
    supervisor.patience = IMPATIENT
    [port] = free_internal(1)
    page = part(home, ANSWERS.format(port=port))
    supervisor.start(replace(page, health=f"http://127.0.0.1:{port}/healthz"))
    watch = supervisor.watches["script"]
    await until(lambda: watch.answers, within_s=20, what="its first answer")
    yield supervisor, watch, said
    await supervisor.stop(first=nothing)


async def test_a_part_that_hangs_is_ended_and_started_anew_and_that_is_said(
    watched: tuple[Supervisor, Watch, list[str]],
):
    _, watch, said = watched
    hung = watch.process
    hung.send_signal(signal.SIGSTOP)
    await until(lambda: watch.starts == 2 and watch.answers, within_s=20, what="a new one")
    assert hung.returncode == -signal.SIGKILL
    assert said[0] == "script hangs: it runs and has not answered for 2 s; ending it"
    assert said[1].startswith("script ended (by SIGKILL); starting it again")


async def test_a_part_that_was_silent_for_a_moment_only_lives_on(
    watched: tuple[Supervisor, Watch, list[str]], home: Home
):
    _, watch, said = watched
    first = watch.process
    first.send_signal(signal.SIGSTOP)
    await until(lambda: watch.answers is False, within_s=5, what="one ask without an answer")
    assert load_json(home.states_file)["script"]["answers"] is False
    first.send_signal(signal.SIGCONT)
    await until(lambda: watch.answers, within_s=5, what="an answer")
    assert (watch.process, said) == (first, [])


async def test_a_part_that_takes_long_to_start_is_left_alone():
    heard: list[bool] = []
    [port] = free_internal(1)
    watching = asyncio.create_task(
        until_hung(f"http://127.0.0.1:{port}/", replace(IMPATIENT, every_s=0.01), heard.append)
    )
    done, _ = await asyncio.wait({watching}, timeout=1)  # many times as many asks as are allowed
    watching.cancel()
    assert (done, heard) == (set(), [])


async def test_files_that_cannot_be_written_end_no_watch(home: Home):
    said: list[str] = []
    supervisor = supervisor_of(home, said)
    (home.logs / "script.log").mkdir()
    home.run.rename(home.run.with_name("elsewhere"))
    supervisor.start(replace(part(home, "pass"), directory=home.path))
    watch = supervisor.watches["script"]
    await until(lambda: watch.starts >= 3, within_s=20, what="two more starts")
    await supervisor.stop(first=nothing)
    told = "what `mlhub status` shows cannot be written (No such file or directory)"
    assert [line.split(";")[0] for line in said].count(told) == 1
    assert any(line.startswith("the record of processes cannot be written") for line in said)
