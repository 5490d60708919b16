"""Real servers of a real hub of either version, as OS users: their GPUs, end, and crash."""

from __future__ import annotations

import json
import os
import pwd
import signal
import sqlite3
import threading
from contextlib import closing

import psutil
import pytest
import requests

from mlhub.singleuser.environment import server_arguments, terminal_arguments
from tests.faces.spawner.hubs import SpawnHub
from tests.faces.spawner.small_service import SmallService
from tests.people import Person
from tests.waiting import wait_until

pytestmark = [pytest.mark.stack, pytest.mark.root]


def start(hub: SpawnHub, person: Person, server: str = "", **options: object) -> dict:
    answer = hub.spawn(person.name, options, server)
    assert answer.status_code == 201, answer.text
    hub.wait_ready(person.name, server)
    return hub.facts(person.name, server)


def status_of(service: SmallService) -> list[str]:
    return [row["status"] for row in service.leases.values()]


def runs(pid: int) -> bool:
    """Whether the process runs; one that has ended may wait for a parent that never looks."""
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_server_has_the_leased_gpus_and_no_others(
    hub: SpawnHub, service: SmallService, ada: Person
) -> None:
    facts = start(hub, ada, profile="python", gpu="a100", count="2", duration="2h")
    (lease,) = service.leases.values()
    environment = facts["environment"]
    assert environment["CUDA_VISIBLE_DEVICES"] == ",".join(lease["devices"])
    assert environment["NVIDIA_VISIBLE_DEVICES"] == ",".join(lease["devices"])
    assert environment["MLHUB_LEASE_ID"] == lease["id"]
    assert environment["MLHUB_API_URL"] == f"{service.address}/services/quota/api/v1"
    assert "MLHUB_SIMULATED" not in environment
    assert (lease["status"], lease["pid"]) == ("active", facts["pid"])
    (claim,) = service.calls("POST", "/claims")
    assert claim["duration"] == 7200
    assert (claim["user"], claim["server"], claim["wait"]) == (ada.name, "", False)
    assert claim["user_options"] == {
        "profile": "python", "gpu": "a100", "count": "2", "duration": "2h"
    }  # fmt: skip


def test_simulated_gpus_are_marked_in_the_servers_environment(
    hub: SpawnHub, service: SmallService, ada: Person
) -> None:
    service.simulated = True
    facts = start(hub, ada, profile="python", gpu="t4")
    assert facts["environment"]["MLHUB_SIMULATED"] == "1"


def test_a_server_without_a_gpu_sees_none_and_asks_nobody(
    hub: SpawnHub, service: SmallService, ada: Person
) -> None:
    facts = start(hub, ada, profile="python")
    assert facts["environment"]["CUDA_VISIBLE_DEVICES"] == ""
    assert facts["environment"]["NVIDIA_VISIBLE_DEVICES"] == "void"
    assert "MLHUB_LEASE_ID" not in facts["environment"]
    assert service.calls("POST", "/claims") == []


def test_a_server_knows_its_apps_and_mlhubs_extension_but_no_secret_of_the_hub(
    hub: SpawnHub, ada: Person
) -> None:
    facts = start(hub, ada)
    environment = facts["environment"]
    assert environment["MLHUB_CODE_SERVER"] == "/nowhere/code-server"
    shell = pwd.getpwnam(ada.name).pw_shell
    assert facts["args"] == [*server_arguments(), *terminal_arguments(shell)]
    known = " ".join([*environment.values(), *facts["args"]])
    for secret in (hub.token, hub.password, hub.proxy_token):
        assert secret not in known


def test_two_people_are_two_os_users_each_in_a_home_that_the_other_cannot_read(
    hub: SpawnHub, ada: Person, bob: Person
) -> None:
    for person in (ada, bob):
        facts = start(hub, person)
        assert (facts["uid"], facts["cwd"]) == (person.uid, str(person.home))
        assert facts["environment"]["HOME"] == str(person.home)
        assert facts["groups"] in ([], [person.gid])
        assert person.home.stat().st_mode & 0o777 == 0o700


def test_nobody_without_an_account_gets_a_server(hub: SpawnHub, service: SmallService) -> None:
    hub.add_user("nobody-here")
    answer = hub.spawn("nobody-here", {"profile": "python", "gpu": "a100"})
    assert answer.status_code == 403
    assert "no account 'nobody-here'" in answer.json()["message"]
    assert service.calls("POST", "/claims") == []


@pytest.mark.parametrize("name", ["root", "daemon", "www-data", "nobody"])
def test_no_server_runs_as_an_account_of_the_system_whoever_starts_it(
    hub: SpawnHub, service: SmallService, name: str
) -> None:
    hub.add_user(name)
    answer = hub.spawn(name, {"profile": "python", "gpu": "a100"})
    assert answer.status_code == 403
    assert f"'{name}' is an account of the system" in answer.json()["message"]
    assert "allowed_system_accounts" in answer.json()["message"]
    assert service.calls("POST", "/claims") == []
    hub.api("DELETE", f"users/{name}").raise_for_status()


def test_stopping_gives_the_gpu_back_and_leaves_no_process(
    hub: SpawnHub, service: SmallService, ada: Person
) -> None:
    facts = start(hub, ada, gpu="a100")
    assert len(facts["children"]) == 2
    hub.stop_server(ada.name)
    assert status_of(service) == ["ended"]
    for pid in (facts["pid"], *facts["children"]):
        assert not runs(pid)


def test_a_named_server_has_a_lease_of_its_own(
    hub: SpawnHub, service: SmallService, ada: Person
) -> None:
    first = start(hub, ada, gpu="a100")
    second = start(hub, ada, "train", gpu="a100")
    devices = {one["environment"]["CUDA_VISIBLE_DEVICES"] for one in (first, second)}
    assert len(devices) == 2
    assert {row["server"] for row in service.live()} == {"", "train"}


def test_a_crash_gives_the_gpu_back_within_seconds(
    hub: SpawnHub, service: SmallService, ada: Person
) -> None:
    facts = start(hub, ada, gpu="a100")
    os.kill(facts["pid"], signal.SIGKILL)
    wait_until(lambda: status_of(service) == ["ended"], within_s=20, what="the end of the lease")
    assert not any(runs(pid) for pid in facts["children"])


@pytest.mark.parametrize(
    ("command", "words"),
    [
        pytest.param("/nowhere/server", "cannot be run as 'ada-", id="no such program"),
        pytest.param(
            "/bin/false",
            "it ended as soon as it began (exit status 1)",
            id="a program that ends at once",
        ),
    ],
)
def test_a_start_that_fails_says_so_soon_and_gives_the_gpu_back(
    hub: SpawnHub, service: SmallService, ada: Person, command: str, words: str
) -> None:
    hub.stop()
    usual, hub.cmd = hub.cmd, [command]
    hub.start()
    try:
        answer = hub.spawn(ada.name, {"gpu": "a100"})
        assert answer.status_code >= 500
        assert words in answer.json()["message"]
        assert answer.elapsed.total_seconds() < 10
        wait_until(lambda: status_of(service) == ["ended"], within_s=20, what="the lease's end")
    finally:
        hub.stop()
        hub.cmd = usual
        hub.start()


def test_a_lease_that_is_over_when_the_process_runs_ends_the_process(
    hub: SpawnHub, service: SmallService, ada: Person
) -> None:
    service.holder_is_over = True
    answer = hub.spawn(ada.name, {"gpu": "a100"})
    assert answer.status_code == 409
    assert "it was given back" in answer.json()["message"]
    (body,) = service.calls("POST", "/leases/")
    assert not runs(body["pid"])


def test_a_server_outlives_the_hub_and_is_the_same_afterwards(
    hub: SpawnHub, service: SmallService, ada: Person
) -> None:
    facts = start(hub, ada, gpu="a100")
    hub.kill()
    hub.start()
    assert hub.facts(ada.name)["pid"] == facts["pid"]
    hub.stop_server(ada.name)
    assert status_of(service) == ["ended"]
    assert not runs(facts["pid"])


def test_a_server_that_died_while_the_hub_was_away_gives_its_gpu_back(
    hub: SpawnHub, service: SmallService, ada: Person
) -> None:
    facts = start(hub, ada, gpu="a100")
    hub.kill()
    os.kill(facts["pid"], signal.SIGKILL)
    hub.start()
    wait_until(lambda: status_of(service) == ["ended"], within_s=20, what="the lease's end")


def test_a_process_that_only_inherited_the_number_is_neither_the_server_nor_harmed(
    hub: SpawnHub, service: SmallService, ada: Person
) -> None:
    facts = start(hub, ada, gpu="a100")
    hub.kill()
    os.kill(facts["pid"], signal.SIGKILL)
    innocent = ada.popen(["/usr/bin/sleep", "300"])
    give_number(hub, innocent.pid)
    hub.start()
    wait_until(lambda: status_of(service) == ["ended"], within_s=20, what="the lease's end")
    assert not hub.server(ada.name).get("ready")
    assert innocent.poll() is None
    innocent.kill()
    innocent.wait()


def give_number(hub: SpawnHub, pid: int) -> None:
    """Makes the hub believe that its server had this number, as if it was given out again."""
    with closing(sqlite3.connect(hub.directory / "hub.sqlite")) as database:
        query = "select id, state from spawners where server_id is not null"
        ((row, state),) = database.execute(query).fetchall()
        state = json.dumps(json.loads(state) | {"pid": pid})
        database.execute("update spawners set state = ? where id = ?", (state, row))
        database.commit()


def test_the_hub_dies_in_the_middle_of_an_ask_and_the_same_key_is_asked_again(
    hub: SpawnHub, service: SmallService, ada: Person
) -> None:
    service.faults.append(("POST", "/claims", "hang"))
    asking = threading.Thread(target=ignore_errors, args=(hub, ada.name), daemon=True)
    asking.start()
    wait_until(lambda: service.calls("POST", "/claims"), within_s=20, what="the ask")
    hub.kill()
    asking.join()
    service.faults.clear()
    hub.start()
    start(hub, ada, gpu="a100")
    assert len(set(service.keys)) == 1
    assert len(service.leases) == 1


def ignore_errors(hub: SpawnHub, user: str) -> None:
    try:
        hub.spawn(user, {"gpu": "a100"})
    except requests.RequestException:
        return


def test_an_answer_that_was_lost_is_asked_for_again_with_the_same_key(
    hub: SpawnHub, service: SmallService, ada: Person
) -> None:
    service.faults.append(("POST", "/claims", "lose"))
    start(hub, ada, gpu="a100")
    assert len(service.keys) == 2
    assert len(set(service.keys)) == 1
    assert len(service.leases) == 1
