"""`mlhub up`, `status` and `down`, with real processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
from pathlib import Path

import psutil
import pytest
import requests

from mlhub.stack import hub_api, leftovers
from mlhub.stack.home import Home
from mlhub.stack.parts import Part
from mlhub.stack.ports import free_internal
from mlhub.stack.supervisor import Supervisor, Watch
from mlhub.stack.up import find_dying
from tests.people import Person
from tests.running import Stack, answers, launch, running_stack, write_settings
from tests.waiting import wait_until

pytestmark = pytest.mark.stack


def page_answers(stack: Stack) -> bool:
    with requests.Session() as session:
        return answers(session, f"{stack.url}hub/login")


def family_of(stack: Stack) -> set[psutil.Process]:
    watcher = psutil.Process(stack.status()["watcher"])
    return {watcher, *watcher.children(recursive=True)}


@pytest.fixture(scope="module")
def own(open_directory: Path):
    """A stack whose parts these tests may kill."""
    with running_stack(open_directory / "own") as stack:
        yield stack


def test_the_sign_in_page_answers_and_the_last_lines_say_where(own: Stack):
    assert page_answers(own)
    assert f"mlhub is up: {own.url}" in own.said()
    assert "4 simulated A100 80GB and 2 simulated T4" in own.said()


def test_status_lists_every_part_as_running(own: Stack):
    status = own.status()
    assert status["healthy"]
    assert {"proxy", "hub"} <= {part["name"] for part in status["parts"]}
    assert all(part["memory"] > 1_000_000 for part in status["parts"])


def test_secrets_are_private_files_and_stand_in_no_command(own: Stack):
    secrets = sorted((own.home / "secrets").iterdir())
    assert len(secrets) >= 7
    assert {stat.S_IMODE(path.stat().st_mode) for path in secrets} == {0o600}
    commands = " ".join(word for p in family_of(own) for word in p.cmdline())
    assert not [path.name for path in secrets if path.read_text().strip() in commands]


def test_a_second_up_says_where_the_first_one_is(own: Stack):
    again = own.command("up")
    assert again.returncode == 0
    assert own.url in again.stdout
    other_port = own.command("up", "--port", "9")
    assert other_port.returncode == 4
    assert own.url in other_port.stdout


def kill_and_await_another(stack: Stack, name: str, *, within_s: float) -> None:
    killed = stack.part(name)
    killed.kill()

    def another() -> bool:
        now = stack.part(name)
        return now is not None and now.pid != killed.pid

    wait_until(another, within_s=within_s, what=f"another {name}")


@pytest.mark.parametrize("name", ["proxy", "hub"])
def test_a_killed_part_is_running_again_within_three_seconds(own: Stack, name: str):
    kill_and_await_another(own, name, within_s=3)
    wait_until(lambda: page_answers(own), within_s=30, what="the sign-in page")
    assert f"{name} ended (by SIGKILL)" in own.said()


@pytest.mark.root
def test_a_server_outlives_its_hub_and_keeps_its_route_through_a_new_proxy(own: Stack, ada: Person):
    session = own.sign_in(ada.name, ada.password)
    started = start_server(own, session, ada)
    for name in ("hub", "proxy"):
        kill_and_await_another(own, name, within_s=10)
    wait_until(
        lambda: answers(session, f"{own.url}user/{ada.name}/api"),
        within_s=60,
        what="the server answers through the new proxy",
    )
    assert started.is_running()
    session.close()


def start_server(stack: Stack, session: requests.Session, person: Person) -> psutil.Process:
    stack.start_server(session, person.name)
    return next(p for p in psutil.process_iter() if p.username() == person.name)


@pytest.mark.root
def test_down_ends_everything_and_people_s_servers_too(open_directory: Path, ada: Person):
    with running_stack(open_directory / "ended") as stack:
        with stack.sign_in(ada.name, ada.password) as session:
            start_server(stack, session, ada)
        family = family_of(stack)
        assert any(p.username() == ada.name for p in family)
        down = stack.command("down")
        assert down.returncode == 0, down.stderr
        assert stack.process.wait(10) == 0
        assert not [p for p in family if p.is_running() and not leftovers.is_dead(p)]
        assert stack.command("status").returncode == 3


@pytest.mark.root
def test_what_a_killed_up_leaves_behind_is_ended_by_down(open_directory: Path, ada: Person):
    with running_stack(open_directory / "orphaned") as stack:
        with stack.sign_in(ada.name, ada.password) as session:
            start_server(stack, session, ada)
        family = family_of(stack) - {psutil.Process(stack.process.pid)}
        stack.process.send_signal(signal.SIGKILL)
        stack.process.wait()
        assert [p for p in family if p.is_running()], "they outlive it"
        assert stack.command("down").returncode == 0
        assert not [p for p in family if p.is_running() and not leftovers.is_dead(p)]
        assert not leftovers.find(Home(stack.home))


def test_a_port_that_is_taken_is_named_with_a_remedy(own: Stack, open_directory: Path):
    refused = open_directory / "refused"
    refused.mkdir()
    answer = Stack(refused, own.port, refused / "up.txt", own.process).command(
        "up", "--port", str(own.port)
    )
    assert answer.returncode == 1
    assert f"Port {own.port} on 127.0.0.1 is taken" in answer.stderr
    assert f"--port {own.port + 100}" in answer.stderr


def test_wrong_settings_stop_the_start_with_their_line(open_directory: Path):
    home = open_directory / "wrong"
    home.mkdir()
    (home / "mlhub.yaml").write_text("times:\n  duration: never\n")
    stack = Stack(home, 1, home / "up.txt", None)
    answer = stack.command("up", "--port", "20001")
    assert answer.returncode == 1
    assert f"{home}/mlhub.yaml:2:" in answer.stderr


def test_an_mlflow_that_cannot_start_keeps_nobody_from_signing_in(open_directory: Path):
    home = open_directory / "without-mlflow"
    secret = home / "mlflow" / "cookie-secret"
    secret.parent.mkdir(parents=True)
    secret.write_text("0123456789abcdef" * 4)
    secret.chmod(0o644)
    told = f"mlflow keeps ending: its log is {home}/logs/mlflow.log"
    with running_stack(home) as stack:
        wait_until(lambda: told in stack.said(), within_s=60, what="the line about MLflow")
        assert page_answers(stack)
        assert "MLflow cannot start" in stack.log("mlflow")


async def test_only_the_end_of_a_part_that_all_need_ends_a_start(tmp_path: Path):
    async def revived(_name: str) -> None: ...

    supervisor = Supervisor(Home(tmp_path), print, revived)
    for name, failures in {"mlflow": 9, "quota": 0}.items():
        supervisor.watches[name] = Watch(Part(name, (), {}, tmp_path), failures=failures)
    dying = asyncio.create_task(find_dying(supervisor))
    done, _ = await asyncio.wait({dying}, timeout=3 * hub_api.POLL_S)
    assert not done
    supervisor.watches["quota"].failures = 3
    assert await asyncio.wait_for(dying, 10) == "quota"


def test_status_of_nothing_says_so_and_has_its_exit_code(tmp_path: Path):
    stack = Stack(tmp_path, 1, tmp_path, None)
    answer = stack.command("status", "--json")
    assert answer.returncode == 3
    assert json.loads(answer.stdout)["running"] is False
    assert not list(tmp_path.iterdir())


def test_a_stack_that_is_told_to_stop_while_it_starts_ends_at_once(open_directory: Path):
    home = open_directory / "hasty"
    write_settings(home, None, gpus_file=None, as_root=os.geteuid() == 0)
    stack = launch(home, port=free_internal(1)[0])
    wait_until(lambda: stack.part("mlflow"), within_s=60, what="its parts are started")
    stack.process.terminate()
    assert stack.process.wait(10) == 0
    assert not leftovers.find(Home(home))


def test_another_version_s_stack_is_told_without_a_traceback(own: Stack):
    file = Home(own.home).wiring_file
    before = file.read_text()
    try:
        file.write_text(json.dumps(json.loads(before) | {"tunnel": 1}))
        answer = own.command("status")
    finally:
        file.write_text(before)
    assert answer.returncode == 1
    assert answer.stderr.startswith("mlhub: The stack in")
    assert "another version of mlhub" in answer.stderr
