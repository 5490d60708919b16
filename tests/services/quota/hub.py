"""A real JupyterHub and proxy with the roles that mlhub gives, and tokens of every kind."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.singleuser.hub import free_ports, stop, wait_for
from tests.singleuser.node import proxy_command

CONFIG = Path(__file__).parent / "jupyterhub_config.py"
SERVICES = ("quota", "spawner", "operator", "scraper", "stranger", "tests")
PREFIX = "/services/quota/"
ADMIN = "root-ada"


@dataclass
class Hub:
    """One hub; every secret is made for it alone."""

    directory: Path
    tokens: dict[str, str] = field(
        default_factory=lambda: {name: secrets.token_hex(16) for name in SERVICES}
    )
    password: str = field(default_factory=lambda: secrets.token_hex(16))
    admin_password: str = field(default_factory=lambda: secrets.token_hex(32))
    ports: list[int] = field(default_factory=lambda: free_ports(4))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports[0]}"

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.ports[1]}/hub/api"

    @property
    def service_port(self) -> int:
        return self.ports[3]

    @property
    def quota(self) -> str:
        """The service's address through the proxy."""
        return f"{self.url}{PREFIX}"

    def api(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        headers = {"Authorization": f"token {self.tokens['tests']}"}
        answer = httpx.request(
            method, f"{self.api_url}/{path}", headers=headers, timeout=60, **kwargs
        )
        assert answer.status_code < 400, (path, answer.text)
        return answer

    def add_user(self, name: str, *groups: str) -> str:
        """Add a user to the hub and to groups; their token."""
        self.api("POST", f"users/{name}")
        for group in groups:
            known = httpx.get(f"{self.api_url}/groups/{group}", headers=self._headers())
            if known.status_code == 404:
                self.api("POST", f"groups/{group}")
            self.api("POST", f"groups/{group}/users", json={"users": [name]})
        return self.token_of(name)

    def token_of(self, user: str, scopes: list[str] | None = None) -> str:
        body = {"note": "test"} | ({"scopes": scopes} if scopes is not None else {})
        return str(self.api("POST", f"users/{user}/tokens", json=body).json()["token"])

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"token {self.tokens['tests']}"}

    def sign_in(self, name: str) -> httpx.Client:
        """A browser's session, signed in to the hub."""
        client = httpx.Client(timeout=30, follow_redirects=True)
        client.get(f"{self.url}/hub/login").raise_for_status()
        password = self.admin_password if name == ADMIN else self.password
        form = {"username": name, "password": password, "_xsrf": client.cookies["_xsrf"]}
        answer = client.post(f"{self.url}/hub/login", data=form, follow_redirects=False)
        assert answer.status_code == 302, answer.text
        return client

    def options(self) -> str:
        options = {
            "directory": str(self.directory),
            "url": self.url,
            "hub_port": self.ports[1],
            "proxy_api_port": self.ports[2],
            "service_url": f"http://127.0.0.1:{self.service_port}",
            "proxy_command": proxy_command(),
        }
        return json.dumps(options)

    def environment(self) -> dict[str, str]:
        return os.environ | {
            "TEST_HUB": self.options(),
            "TEST_TOKENS": json.dumps(self.tokens),
            "TEST_PASSWORD": self.password,
            "TEST_ADMIN_PASSWORD": self.admin_password,
            "CONFIGPROXY_AUTH_TOKEN": secrets.token_hex(16),
        }

    @contextmanager
    def running(self) -> Iterator[Hub]:
        command = [sys.executable, "-m", "jupyterhub", "-f", str(CONFIG)]
        with (self.directory / "hub.log").open("wb") as log:
            process = subprocess.Popen(
                command, cwd=self.directory, env=self.environment(), stdout=log, stderr=log
            )
            try:
                wait_for("hub", lambda: self._answers(process))
                yield self
            finally:
                stop(process)

    def _answers(self, process: subprocess.Popen[bytes]) -> bool:
        log = (self.directory / "hub.log").read_text(errors="replace")
        assert process.poll() is None, log[-3000:]
        try:
            return httpx.get(f"{self.url}/hub/api/", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False
