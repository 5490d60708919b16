"""The real parts of a sign-in: an OpenID provider, a hub with its proxy, and where they listen."""

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.singleuser.hub import free_ports, wait_for
from tests.singleuser.node import NODE, installed, proxy_command

HERE = Path(__file__).parent
OIDC_PROVIDER = ("oidc-provider", "9.13.3")
CLIENT_ID = "mlhub"


@dataclass
class OidcProvider:
    """An OpenID provider that runs; its people are a file that tests change."""

    directory: Path
    redirect_uri: str
    access_token_seconds: int = 3600
    secret: str = field(default_factory=lambda: secrets.token_hex(16))
    issuer: str = ""

    def people(self, **people: dict[str, Any]) -> None:
        """Say who there is: claims by stable id (`id_1={...}` for the id `id-1`)."""
        known = {name.replace("_", "-"): claims for name, claims in people.items()}
        unfinished = self.directory / "people.new"
        unfinished.write_text(json.dumps(known))
        unfinished.replace(self.directory / "people.json")

    def settings(self, **more: Any) -> dict[str, Any]:
        secret_file = self.directory / "client-secret"
        secret_file.write_text(self.secret)
        secret_file.chmod(0o600)
        return {
            "type": "oidc",
            "issuer": self.issuer,
            "client_id": CLIENT_ID,
            "client_secret": {"file": str(secret_file)},
            **more,
        }

    @contextmanager
    def running(self) -> Iterator["OidcProvider"]:
        self.people()
        client = {
            "client_id": CLIENT_ID,
            "client_secret": self.secret,
            "redirect_uris": [self.redirect_uri],
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": "client_secret_post",
        }
        entry = installed(*OIDC_PROVIDER) / "node_modules/oidc-provider/lib/index.js"
        options = json.dumps({"accessTokenSeconds": self.access_token_seconds})
        words = [NODE, HERE / "provider.mjs", entry, self.directory / "people.json"]
        with (self.directory / "provider.log").open("wb") as log:
            process = subprocess.Popen(
                [*words, json.dumps([client]), options],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
            try:
                self.issuer = process.stdout.readline().strip()
                assert self.issuer, (self.directory / "provider.log").read_text()
                yield self
            finally:
                end(process)


@dataclass
class SignInHub:
    """A hub and its proxy, with mlhub's sign-in."""

    directory: Path
    settings: dict[str, Any] = field(default_factory=dict)
    person: str | None = None
    as_root: bool = False
    python: str = sys.executable
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    ports: list[int] = field(default_factory=lambda: free_ports(3))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports[0]}"

    def callback(self, provider: str) -> str:
        return f"{self.url}/hub/{provider}/oauth_callback"

    def api(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"token {self.token}"}
        return httpx.request(method, f"{self.url}/hub/api/{path}", headers=headers, **more)

    def user(self, name: str) -> dict[str, Any] | None:
        answer = self.api("GET", f"users/{name}")
        return answer.json() if answer.status_code == 200 else None

    def log(self) -> str:
        return (self.directory / "hub.log").read_text(errors="replace")

    def _options(self) -> str:
        names = ("settings", "person", "as_root", "ports")
        chosen = {name: getattr(self, name) for name in names}
        more = {"directory": str(self.directory), "proxy_command": proxy_command()}
        return json.dumps(chosen | more)

    @contextmanager
    def running(self) -> Iterator["SignInHub"]:
        environment = os.environ | {
            "TEST_SIGN_IN": self._options(),
            "TEST_HUB_TOKEN": self.token,
            "CONFIGPROXY_AUTH_TOKEN": secrets.token_hex(16),
            "PYTHONPATH": str(HERE.parents[2]),
        }
        config = str(HERE / "jupyterhub_config.py")
        with (self.directory / "hub.log").open("ab") as log:
            process = subprocess.Popen(
                [self.python, "-m", "jupyterhub", "-f", config],
                cwd=self.directory,
                env=environment,
                stdout=log,
                stderr=log,
            )
            try:
                wait_for("sign-in page", lambda: self._answers(process))
                yield self
            finally:
                end(process)

    def _answers(self, process: subprocess.Popen[bytes]) -> bool:
        assert process.poll() is None, self.log()[-3000:]
        try:
            return httpx.get(f"{self.url}/hub/login").status_code == 200
        except httpx.TransportError:
            return False


def end(process: subprocess.Popen[Any]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout:
        process.stdout.close()
