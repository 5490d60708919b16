"""A real hub of either version with its real proxy, for the tests of the spawner and the form."""

from __future__ import annotations

import atexit
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import requests

from mlhub.stack.node import PROXY, install_parts, node_directory, place_of
from mlhub.stack.ports import free_internal
from tests.faces.spawner.small_service import SmallService
from tests.people import Person
from tests.running import node_cache
from tests.waiting import wait_until

HERE = Path(__file__).parent
ROOT = HERE.parents[2]


@cache
def for_everybody(name: str) -> Path:
    """A copy of a file of these tests that every OS user can read: a checkout may be closed."""
    public = Path(tempfile.mkdtemp(prefix="mlhub-tests-"))
    atexit.register(shutil.rmtree, public)
    public.chmod(0o755)
    copy = Path(shutil.copy(HERE / name, public))
    copy.chmod(0o644)
    return copy


TINY = ["/usr/bin/python3", str(for_everybody("tiny_server.py"))]
PROFILES = [
    {"display_name": "Python 3", "slug": "python", "default": True, "gpus": "any"},
    {"display_name": "Two at once", "slug": "two", "duration": "2h",
     "kubespawner_override": {"gpu": {"flavor": "a100", "count": 2}}},
    {"display_name": "Own image", "slug": "own", "profile_options": {
        "image": {
            "display_name": "Image", "choices": {"stable": {}},
            "unlisted_choice": {"enabled": True, "display_name": "Image and tag",
                                "validation_regex": "[a-z]+:[a-z0-9]+",
                                "validation_message": "name:tag"},
        },
        "size": {"display_name": "Size", "choices": {"small": {}, "large": {}}},
    }},
]  # fmt: skip


@dataclass
class SpawnHub:
    """One hub; every secret is made for it alone.

    Attributes:
        python: the interpreter whose hub it is.
        service: the small quota service; None: the hub runs the true one itself.
        person: the OS user that the hub runs as; None: whoever runs the tests.
    """

    directory: Path
    service: SmallService | None = None
    python: Path = Path(sys.executable)
    person: Person | None = None
    profiles: list[dict[str, Any]] = field(default_factory=lambda: list(PROFILES))
    settings: dict[str, Any] = field(default_factory=dict)
    cmd: list[str] = field(default_factory=lambda: list(TINY))
    environment: dict[str, str] = field(default_factory=dict)
    config: dict[str, dict[str, Any]] = field(default_factory=dict)
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    password: str = field(default_factory=lambda: secrets.token_hex(16))
    proxy_token: str = field(default_factory=lambda: secrets.token_hex(16))
    ports: tuple[int, ...] = field(default_factory=lambda: tuple(free_internal(4)))
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports[0]}"

    @property
    def major(self) -> int:
        return int(self.api("GET", "").json()["version"].split(".")[0])

    def log(self) -> str:
        return (self.directory / "hub.log").read_text(errors="replace")

    # --- what tests ask of it

    def api(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        headers = {"Authorization": f"token {self.token}"}
        url = f"{self.url}/hub/api/{path}"
        return requests.request(method, url, headers=headers, timeout=120, **kwargs)

    def quota(self, path: str) -> Any:
        """What the true quota service's API says to the spawner."""
        token = (self.directory / "secrets" / "spawner-token").read_text().strip()
        headers = {"Authorization": f"token {token}"}
        url = f"{self.url}/services/quota/api/v1/{path}"
        return requests.get(url, headers=headers, timeout=30).json()

    def add_user(self, name: str) -> None:
        self.api("POST", f"users/{name}").raise_for_status()

    def spawn(self, user: str, options: object = None, server: str = "") -> requests.Response:
        """A REST spawn; a bare body is understood by both versions."""
        path = f"users/{user}/servers/{server}" if server else f"users/{user}/server"
        body = {} if options is None else {"json": options}
        return self.api("POST", path, **body)

    def server(self, user: str, server: str = "") -> dict[str, Any]:
        servers = self.api("GET", f"users/{user}").json()["servers"]
        return dict(servers.get(server, {}))

    def wait_ready(self, user: str, server: str = "") -> None:
        wait_until(
            lambda: self.server(user, server).get("ready"), within_s=60, what=f"server of {user}"
        )

    def facts(self, user: str, server: str = "") -> dict[str, Any]:
        """What a tiny server tells of itself."""
        path = f"{self.url}/user/{user}/{f'{server}/' if server else ''}api"
        return dict(requests.get(path, timeout=30).json())

    def stop_server(self, user: str, server: str = "") -> None:
        path = f"users/{user}/servers/{server}" if server else f"users/{user}/server"
        self.api("DELETE", path).raise_for_status()
        wait_until(
            lambda: not self.server(user, server).get("ready") and not self.pending(user, server),
            within_s=60,
            what=f"end of the server of {user}",
        )

    def pending(self, user: str, server: str = "") -> str | None:
        found = self.server(user, server).get("pending")
        return str(found) if found else None

    def sign_in(self, user: str) -> requests.Session:
        session = requests.Session()
        session.get(f"{self.url}/hub/login", timeout=30).raise_for_status()
        form = {"username": user, "password": self.password, "_xsrf": session.cookies["_xsrf"]}
        answer = session.post(f"{self.url}/hub/login", data=form, timeout=30, allow_redirects=False)
        assert answer.status_code == 302, answer.text
        return session

    def post_form(
        self, session: requests.Session, form: Mapping[str, str], server: str = "", user: str = ""
    ) -> requests.Response:
        path = f"/hub/spawn/{user}/{server}" if server else "/hub/spawn"
        data = {"_xsrf": session.cookies["_xsrf"], **form}
        url = self.url + path
        return session.post(url, data=data, timeout=60, allow_redirects=False)

    # --- its processes

    def options(self) -> str:
        settings = self.directory / "mlhub.yaml"
        document = {"profiles": self.profiles, "mlflow": {"enabled": False}} | self.settings
        settings.write_text(json.dumps(document))
        return json.dumps({
            "directory": str(self.directory), "settings": str(settings), "url": self.url,
            "hub_url": f"http://127.0.0.1:{self.ports[1]}",
            "proxy_api_url": f"http://127.0.0.1:{self.ports[2]}",
            "quota_url": self.service.address if self.service else "",
            "address": f"http://127.0.0.1:{self.ports[3]}", "cmd": self.cmd,
            "environment": self.environment, "config": self.config,
        })  # fmt: skip

    def environ(self) -> dict[str, str]:
        return {
            "CONFIGPROXY_AUTH_TOKEN": self.proxy_token,
            "MLHUB_CODE_SERVER": "/nowhere/code-server",
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "PATH": f"{self.python.parent}{os.pathsep}{os.environ['PATH']}",
            "SPAWNER_TEST": self.options(),
            "TEST_HUB_PASSWORD": self.password,
            "TEST_HUB_TOKEN": self.token,
            "TEST_QUOTA_TOKEN": secrets.token_hex(16),
        }

    def start(self) -> None:
        """Starts the hub and waits until it answers."""
        command = [str(self.python), "-m", "jupyterhub", "-f"]
        command.append(str(for_everybody("jupyterhub_config.py")))
        self.write_token()
        with (self.directory / "hub.log").open("ab") as log:
            more = {"stdout": log, "stderr": log, "cwd": self.directory}
            if self.person is None:
                self.process = subprocess.Popen(command, env=os.environ | self.environ(), **more)
            else:
                self.process = self.person.popen(command, environ=self.environ(), **more)
        wait_until(self.answers, within_s=60, what="the hub")

    def write_token(self) -> None:
        """The spawner's token, as the small service knows it."""
        path = self.directory / "secrets" / "spawner-token"
        if path.exists():
            return
        path.parent.mkdir(exist_ok=True, mode=0o700)
        path.write_text(self.service.token if self.service else secrets.token_hex(16))
        path.chmod(0o600)
        if self.person is not None:
            for one in (self.directory, path.parent, path):
                os.chown(one, self.person.uid, self.person.gid)

    def answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log()[-4000:]
        try:
            return requests.get(f"{self.url}/hub/api/", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    def kill(self) -> None:
        """Ends the hub as a crash does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()


def proxy_command() -> list[str]:
    """The proxy, installed once where every OS user can read it."""
    cache = node_cache()
    if not (place_of(PROXY, cache) / PROXY.entry).exists():
        with tempfile.TemporaryDirectory() as commands:
            install_parts(cache, Path(commands), print)
    return [str(node_directory() / "bin" / "node"), str(place_of(PROXY, cache) / PROXY.entry)]


@contextmanager
def running_proxy(hub: SpawnHub) -> Iterator[None]:
    public, internal, api, _ = hub.ports
    words = ["--ip", "127.0.0.1", "--port", str(public), "--api-ip", "127.0.0.1"]
    words += ["--api-port", str(api), "--default-target", f"http://127.0.0.1:{internal}"]
    words += ["--error-target", f"http://127.0.0.1:{internal}/hub/error"]
    environ = os.environ | {"CONFIGPROXY_AUTH_TOKEN": hub.proxy_token}
    with (hub.directory / "proxy.log").open("wb") as log:
        process = subprocess.Popen([*proxy_command(), *words], env=environ, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.kill()
            process.wait()


@contextmanager
def running_hub(hub: SpawnHub) -> Iterator[SpawnHub]:
    """The hub and its proxy until the block ends, and every server of it ended."""
    hub.directory.mkdir(parents=True, exist_ok=True)
    if hub.person is not None:
        os.chown(hub.directory, hub.person.uid, hub.person.gid)
    with running_proxy(hub):
        hub.start()
        try:
            yield hub
        finally:
            end_servers(hub)
            hub.stop()
            shutil.rmtree(hub.directory / "secrets", ignore_errors=True)


def end_servers(hub: SpawnHub) -> None:
    if hub.process is None or hub.process.poll() is not None:
        return
    for user in hub.api("GET", "users").json():
        for name, server in user["servers"].items():
            if server["ready"] or server["pending"]:
                hub.stop_server(user["name"], name)
