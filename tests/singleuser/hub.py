"""A real JupyterHub with its real proxy, in a temporary directory, for tests of what it runs."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil

from tests.singleuser.node import proxy_command

T = TypeVar("T")
CONFIG = Path(__file__).parent / "jupyterhub_config.py"
TEST_SCOPES = ["admin:users", "admin:servers", "tokens", "access:servers", "read:hub"]


def free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def wait_for(what: str, found: Callable[[], T | None], *, seconds: float = 90) -> T:
    """Poll until something is found; says what was missed."""
    deadline, pause = time.monotonic() + seconds, threading.Event()
    while time.monotonic() < deadline:
        value = found()
        if value:
            return value
        pause.wait(0.1)
    raise TimeoutError(f"after {seconds} s still no {what}")


def descendants(word: str) -> list[psutil.Process]:
    """Processes that this test run started, directly or not, with a word in their command."""
    return [p for p in psutil.Process().children(recursive=True) if word in words_of(p)]


def words_of(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:  # it ended meanwhile
        return []


@dataclass
class Hub:
    """One hub; every secret is made for it alone."""

    directory: Path
    services: list[dict[str, Any]] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    arguments: list[str] = field(default_factory=list)
    token_scopes: list[str] = field(default_factory=list)
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    password: str = field(default_factory=lambda: secrets.token_hex(16))
    ports: list[int] = field(default_factory=lambda: free_ports(3))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports[0]}"

    def api(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        headers = {"Authorization": f"token {self.token}"}
        url = f"{self.url}/hub/api/{path}"
        answer = httpx.request(method, url, headers=headers, timeout=150, **kwargs)
        assert answer.status_code < 400, (path, answer.text)
        return answer

    def add_user(self, name: str) -> None:
        self.api("POST", f"users/{name}")

    def token_of(self, user: str, scopes: list[str] | None = None) -> str:
        body = {"note": "test"} | ({"scopes": scopes} if scopes is not None else {})
        return str(self.api("POST", f"users/{user}/tokens", json=body).json()["token"])

    def start_server(self, user: str) -> str:
        """Start a user's server and wait for it; returns its address."""
        self.api("POST", f"users/{user}/server")
        wait_for(f"server of {user}", lambda: self._is_ready(user), seconds=150)
        return f"{self.url}/user/{user}/"

    def _is_ready(self, user: str) -> bool:
        servers = self.api("GET", f"users/{user}").json()["servers"]
        return bool(servers.get("", {}).get("ready"))

    def log_text(self) -> str:
        return (self.directory / "hub.log").read_text(errors="replace")

    def options(self) -> str:
        url, hub_port, proxy_api_port = self.url, *self.ports[1:]
        options = {
            "directory": str(self.directory),
            "url": url,
            "hub_port": hub_port,
            "proxy_api_port": proxy_api_port,
            "proxy_command": proxy_command(),
            "test_scopes": TEST_SCOPES + self.token_scopes,
        }
        names = ("services", "environment", "arguments", "token_scopes")
        return json.dumps(options | {name: getattr(self, name) for name in names})

    def _environment(self) -> dict[str, str]:
        secrets_of_hub = {"TEST_HUB_TOKEN": self.token, "TEST_HUB_PASSWORD": self.password}
        proxy = {"CONFIGPROXY_AUTH_TOKEN": secrets.token_hex(16)}
        return os.environ | secrets_of_hub | proxy | {"TEST_HUB": self.options()}

    @contextmanager
    def running(self) -> Iterator["Hub"]:
        command = [sys.executable, "-m", "jupyterhub", "-f", str(CONFIG)]
        with (self.directory / "hub.log").open("wb") as log:
            process = subprocess.Popen(
                command, cwd=self.directory, env=self._environment(), stdout=log, stderr=log
            )
            try:
                wait_for("hub", lambda: self._answers(process))
                yield self
            finally:
                stop(process)

    def _answers(self, process: subprocess.Popen[bytes]) -> bool:
        assert process.poll() is None, self.log_text()[-3000:]
        try:
            return httpx.get(f"{self.url}/hub/api/", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False


def stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
