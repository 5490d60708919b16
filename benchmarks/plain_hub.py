"""The peer of the picker: a stock JupyterHub with its own form, behind the same proxy program."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from mlhub.stack.ports import free_internal
from tests.running import Stack
from tests.waiting import wait_until

FORM = '<label>Image <select name="image"><option>minimal</option></select></label>'
UP_S = 90.0


@dataclass
class PlainHub:
    """A running stock hub."""

    url: str
    password: str

    def sign_in(self, name: str) -> requests.Session:
        """A session of a user who may sign in."""
        session = requests.Session()
        session.get(f"{self.url}hub/login", timeout=30).raise_for_status()
        form = {"username": name, "password": self.password, "_xsrf": session.cookies["_xsrf"]}
        session.post(f"{self.url}hub/login", data=form, timeout=60).raise_for_status()
        return session


def configuration(
    home: Path, ports: list[int], stack: Stack, *, password: str, spawner: str
) -> str:
    """The jupyterhub_config.py of the peer."""
    wiring = json.loads((stack.home / "run" / "wiring.json").read_text())
    base = f"http://127.0.0.1:{ports[0]}/"
    return f"""
c.JupyterHub.bind_url = {base!r}
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{ports[1]}"
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{ports[2]}"
c.ConfigurableHTTPProxy.command = [{wiring["node"]!r}, {wiring["proxy"]!r}]
c.JupyterHub.db_url = "sqlite:///{home / "hub.sqlite"}"
c.JupyterHub.cookie_secret_file = "{home / "cookie-secret"}"
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = {password!r}
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = {spawner!r}
c.Spawner.default_url = "/lab"
c.Spawner.options_form = {FORM!r}
"""


@contextmanager
def plain_hub(home: Path, stack: Stack, spawner: str = "simple") -> Iterator[PlainHub]:
    """Run it until the block ends, with one of JupyterHub's own spawners."""
    home.mkdir(parents=True)
    home.chmod(0o755)
    ports, token, password = free_internal(3), secrets.token_hex(16), secrets.token_hex(16)
    config = home / "jupyterhub_config.py"
    config.write_text(configuration(home, ports, stack, password=password, spawner=spawner))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"CONFIGPROXY_AUTH_TOKEN": token, "PATH": path}
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterhub", "-f", config], cwd=home, env=environment,
            stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    hub = PlainHub(f"http://127.0.0.1:{ports[0]}/", password)
    try:
        wait_until(lambda: _answers(hub.url), within_s=UP_S, what="the stock hub's sign-in page")
        yield hub
    finally:
        process.terminate()
        process.wait(30)


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}hub/login", timeout=5).ok
    except requests.ConnectionError:
        return False
