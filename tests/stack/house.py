"""A stack asked by programs, for tests of faults: its servers, leases and processes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import requests

from mlhub.stack.leftovers import MARK
from tests.people import Person
from tests.running import Stack
from tests.waiting import wait_until

FLAVOR = "a100-80gb-pcie"
GPUS = {"nodes": [{"gpus": [{"model": "NVIDIA A100 80GB PCIe", "count": 1, "memory": "80 GiB"}]}]}
OPTIONS = {"profile": "python", "gpu": FLAVOR, "count": "1"}
RIGHT_S = 90.0


def one_gpu(home: Path) -> Path:
    """A file that says what the driver shows: one GPU."""
    file = home / "gpus.yaml"
    file.write_text(json.dumps(GPUS))
    return file


@dataclass
class House:
    """A stack asked by programs."""

    stack: Stack

    def hub(self, method: str, path: str, **more: Any) -> requests.Response | None:
        """One call of the hub's API; None while it does not answer."""
        headers = {"Authorization": f"token {self.stack.token('quota')}"}
        url = f"{self.stack.url}hub/api/{path}"
        try:
            return requests.request(method, url, headers=headers, timeout=30, **more)
        except requests.RequestException:
            return None

    def ask(self, method: str, path: str, token: str = "operator", **more: Any) -> Any:
        """The quota service's answer, whatever it is; a path with a slash is outside the API."""
        headers = {"Authorization": f"token {self.stack.token(token)}"} | more.pop("headers", {})
        place = path[1:] if path.startswith("/") else f"api/v1/{path}"
        url = f"{self.stack.url}services/quota/{place}"
        return requests.request(method, url, headers=headers, timeout=60, **more)

    def quota(self, method: str, path: str, token: str = "operator", **more: Any) -> Any:
        """One call of the quota service; None while it does not answer."""
        try:
            answer = self.ask(method, path, token, **more)
            return answer.json() if answer.status_code < 500 else None
        except (requests.RequestException, ValueError):
            return None

    def claim(self, user: str, key: str, **body: Any) -> Any:
        """A claim as the spawner makes one."""
        wanted = {"user": user, "groups": [], "flavor": FLAVOR, **body}
        headers = {"Idempotency-Key": f"{key}-{user}"}
        return self.ask("POST", "claims", "spawner", json=wanted, headers=headers)

    def mine(self, user: str) -> dict[str, Any]:
        """What somebody's own page shows them."""
        ticket = self.quota("POST", "tickets", "spawner", json={"user": user})["ticket"]
        return dict(self.quota("GET", "me", headers={"Authorization": f"Ticket {ticket}"}))

    def reasons(self) -> list[str]:
        """Why the service is not ready; empty when it is."""
        return list(self.ask("GET", "/readyz").json()["reasons"])

    def start(self, person: Person, **options: Any) -> requests.Response | None:
        """Press Start, with the options of the form."""
        body = {"user_options": OPTIONS | options}
        return self.hub("POST", f"users/{person.name}/server", json=body)

    def stop(self, person: Person) -> requests.Response | None:
        """Stop somebody's server."""
        return self.hub("DELETE", f"users/{person.name}/server")

    def is_ready(self, person: Person) -> bool:
        answer = self.hub("GET", f"users/{person.name}")
        servers = answer.json().get("servers", {}) if answer is not None and answer.ok else {}
        return any(row["ready"] for row in servers.values())

    def has_none(self, person: Person) -> bool:
        answer = self.hub("GET", f"users/{person.name}")
        return answer is not None and answer.ok and not answer.json().get("servers")

    def leases(self) -> list[dict[str, Any]] | None:
        found = self.quota("GET", "leases")
        return None if found is None else found.get("items")

    def started(self, person: Person) -> None:
        """Start a server and see it ready."""
        self.start(person)
        wait_until(lambda: self.is_ready(person), within_s=RIGHT_S, what="the server is ready")

    def processes(self) -> list[psutil.Process]:
        """The processes of users' servers, of this stack alone."""
        found = []
        for process in psutil.process_iter():
            try:
                words = process.environ()
                if words.get("MLHUB_LEASE_ID") and words.get(MARK) == str(self.stack.home):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def kill(self, victim: str) -> None:
        """End one of the processes without warning; a user's server as soon as there is one."""
        if victim == "server":
            for process in wait_until(self.processes, within_s=30, what="a user's server"):
                process.kill()
            return
        process = wait_until(lambda: self.stack.part(victim), within_s=30, what=victim)
        process.kill()

    def is_right(self) -> bool:
        """Whether servers, leases and processes tell one story, and the service finds no fault."""
        leases, findings = self.leases(), self.quota("GET", "doctor")
        hub = self.hub("GET", "")
        if leases is None or not isinstance(findings, list) or hub is None or not hub.ok:
            return False
        sound = all(row["ok"] for row in findings)
        settled = all(row["status"] == "active" for row in leases)
        return sound and settled and bool(leases) == bool(self.processes())

    def comes_right(self) -> None:
        """Wait until everything is right."""
        try:
            wait_until(self.is_right, within_s=RIGHT_S, what="everything is right again")
        except AssertionError as error:
            found = [row for row in self.quota("GET", "doctor") or [] if not row["ok"]]
            raise AssertionError(f"{error}: {self.leases()}, {self.processes()}, {found}") from None

    @contextmanager
    def lived_in_by(self, *people: Person) -> Iterator[None]:
        """People who have signed in once; at the end nothing of theirs is left."""
        for person in people:
            self.stack.sign_in(person.name, person.password).close()
        yield
        self.empty(*people)

    def empty(self, *people: Person) -> None:
        """Stop everything of these people and wait until every GPU is free."""
        for claim in (self.quota("GET", "queue") or {}).get("items", []):
            self.quota("DELETE", f"claims/{claim['id']}", "spawner")
        for person in people:
            self.stop(person)
        wait_until(lambda: self.leases() == [], within_s=RIGHT_S, what="every GPU is free again")
