"""The quota service as a process of its own, behind the hub and its proxy."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.services.quota.hub import PREFIX, Hub
from tests.singleuser.hub import wait_for

A100S = {"model": "NVIDIA A100-SXM4-80GB", "count": 4, "memory": "80 GiB"}
GPUS = {"nodes": [{"gpus": [A100S]}]}


@dataclass
class Quota:
    """One service; started and ended as the tests want."""

    hub: Hub
    home: Path
    port: int
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Past the proxy."""
        return f"http://127.0.0.1:{self.port}{PREFIX}"

    @property
    def log(self) -> Path:
        return self.home / f"quota-{self.port}.log"

    def said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def start(self) -> subprocess.Popen[bytes]:
        environment = os.environ | {
            "MLHUB_HOME": str(self.home),
            "MLHUB_CONFIG": str(self.home / "mlhub.yaml"),
            "MLHUB_GPUS": "simulated",
            "JUPYTERHUB_API_TOKEN": self.hub.tokens["quota"],
            "JUPYTERHUB_API_URL": self.hub.api_url,
            "JUPYTERHUB_BASE_URL": "/",
            "JUPYTERHUB_CLIENT_ID": "service-quota",
            "JUPYTERHUB_SERVICE_NAME": "quota",
            "JUPYTERHUB_SERVICE_PREFIX": PREFIX,
            "JUPYTERHUB_SERVICE_URL": f"http://127.0.0.1:{self.port}",
        }
        command = [sys.executable, "-m", "hub_services.quota"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.home, env=environment | self.environment, stdout=log, stderr=log
            )
        return self.process

    def ready(self) -> bool:
        assert self.process is None or self.process.poll() is None, self.said()[-3000:]
        try:
            return httpx.get(f"{self.url}readyz", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def wait_ready(self) -> None:
        wait_for("quota service", self.ready)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it; its exit status."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(30)

    def ask(self, method: str, path: str, token: str, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}", **more.pop("headers", {})}
        return httpx.request(
            method, f"{self.url}api/v1/{path}", headers=headers, timeout=60, **more
        )

    def claim(self, token: str, key: str, **body: Any) -> httpx.Response:
        wanted = {"flavor": "a100", **body}
        return self.ask("POST", "claims", token, headers={"Idempotency-Key": key}, json=wanted)


def write_settings(home: Path, **settings: Any) -> None:
    (home / "gpus.yaml").write_text(json.dumps(GPUS))
    document = {
        "inventory": {"source": "simulated", "simulated_file": str(home / "gpus.yaml")},
        "flavors": [{"name": "a100", "display_name": "A100 80 GB", "model": "*A100*"}],
        **settings,
    }
    (home / "mlhub.yaml").write_text(json.dumps(document))


@contextmanager
def quota_service(hub: Hub, home: Path, *, port: int = 0, **settings: Any) -> Iterator[Quota]:
    """A service that is ready; it has ended after the block."""
    write_settings(home, **settings)
    quota = Quota(hub, home, port or hub.service_port)
    quota.start()
    try:
        quota.wait_ready()
        yield quota
    finally:
        quota.end(signal.SIGKILL)
