"""`mlhub up` without root: one named person, a generated password, and nobody else."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from mlhub.stack.ports import free_internal
from tests.people import Person
from tests.running import Stack, launch, running_stack
from tests.waiting import wait_until

pytestmark = [pytest.mark.stack, pytest.mark.root]


@pytest.fixture(scope="module")
def hers(ada: Person) -> Iterator[Stack]:
    """A stack that an OS user started in her own private home."""
    with running_stack(ada.home / "mlhub", person=ada) as stack:
        yield stack


def shown_password(stack: Stack) -> str:
    return re.search(r"with the password (\S+)", stack.said()).group(1)


def refusal(stack: Stack, name: str, password: str) -> requests.Response:
    with requests.Session() as session:
        session.get(f"{stack.url}hub/login", timeout=30)
        form = {"username": name, "password": password, "_xsrf": session.cookies["_xsrf"]}
        return session.post(f"{stack.url}hub/login", data=form, timeout=60, allow_redirects=False)


def test_the_password_is_shown_once_and_kept_in_a_private_file(hers: Stack, ada: Person):
    password = shown_password(hers)
    path = Path(re.search(r"kept in (\S+)", hers.said()).group(1))
    assert path.read_text().strip() == password
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.owner() == ada.name
    assert f"Sign in as {ada.name}" in hers.said()


def test_the_person_is_let_in_and_their_server_runs_as_themselves(hers: Stack, ada: Person):
    with hers.sign_in(ada.name, shown_password(hers)) as session:
        hers.start_server(session, ada.name)
    servers = [p for p in psutil.process_iter() if "jupyterhub-singleuser" in " ".join(cmd(p))]
    assert ada.name in {p.username() for p in servers}


def cmd(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_another_name_is_refused_with_the_reason(hers: Stack, ada: Person):
    answer = refusal(hers, "root", shown_password(hers))
    assert answer.status_code == 403
    assert f"&#39;{ada.name}&#39;" in answer.text or f"'{ada.name}'" in answer.text


def test_a_wrong_password_is_refused(hers: Stack, ada: Person):
    assert refusal(hers, ada.name, "wrong").status_code == 403


def test_an_address_of_the_network_is_refused_for_a_generated_password(ada: Person):
    home = ada.home / "open"
    home.mkdir()
    os.chown(home, ada.uid, ada.gid)
    stack = launch(home, port=free_internal(1)[0], person=ada, words=["--host", "0.0.0.0"])
    wait_until(lambda: stack.process.poll() is not None, within_s=120, what="its end")
    assert stack.process.returncode == 1
    assert "listen on 127.0.0.1" in stack.said()


def test_a_home_of_another_os_user_is_refused(ada: Person, bob: Person, open_directory: Path):
    home = open_directory / "bobs"
    home.mkdir()
    home.chmod(0o777)
    os.chown(home, bob.uid, bob.gid)
    stack = launch(home, port=free_internal(1)[0], person=ada)
    wait_until(lambda: stack.process.poll() is not None, within_s=120, what="its end")
    assert f"belongs to another OS user (number {bob.uid})" in stack.said()
