"""A stack with two A100 and one T4, people in browsers, and a clock that tests can move on."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page

from tests.people import Person, os_user
from tests.running import Stack, running_stack
from tests.waiting import wait_until

GPUS = {
    "nodes": [
        {
            "name": "lab-1",
            "gpus": [
                {"model": "NVIDIA A100 80GB PCIe", "count": 2, "memory": "80 GiB"},
                {"model": "Tesla T4", "count": 1, "memory": "15 GiB"},
            ],
        }
    ]
}
A100, T4 = "a100-80gb-pcie", "t4"
FLAVORS = [
    {
        "name": A100,
        "display_name": "A100 80 GB",
        "model": "*A100*",
        "memory": "80 GiB",
        "price": 1.2,
    },
    {"name": T4, "display_name": "Tesla T4", "model": "*T4*", "memory": "15 GiB", "price": 0.2},
]
PROFILES = [
    {
        "display_name": "PyTorch",
        "slug": "pytorch",
        "description": "Python, PyTorch, CUDA",
        "default": True,
        "gpus": "any",
    },
    {"display_name": "Minimal", "slug": "minimal", "description": "Python on CPU, starts fastest"},
]
START_MS = 90_000
PLAIN_HOST = "mlhub.test"  # plain http and no loopback: no secure context for browsers
SERIOUS = {"serious", "critical"}
SIGNED_IN = re.compile(r"/hub/(?!login|oauth_login)\w|/user/")


def serious(page: Page) -> list[str]:
    """What axe-core finds that is serious."""
    found = Axe().run(page).response["violations"]
    return [
        f"{row['id']}: {node['html'][:120]}"
        for row in found
        if row["impact"] in SERIOUS
        for node in row["nodes"]
    ]


@dataclass
class Lab:
    """The stack, and what tests do with it beside the browser."""

    stack: Stack
    clock: Path
    passed: float = 0

    @property
    def url(self) -> str:
        return self.stack.url

    @property
    def api(self) -> str:
        return f"{self.url}services/quota/api/v1"

    def get(self, path: str) -> Any:
        """What the API says to one who may see everything."""
        token = {"Authorization": f"token {self.stack.token('spawner')}"}
        answer = requests.get(f"{self.api}/{path}", headers=token, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def lease_of(self, person: Person) -> dict[str, Any] | None:
        return next(
            (row for row in self.get("leases")["items"] if row["user"] == person.name), None
        )

    def wait_for_lease(
        self, person: Person, *, within_s: float = 30, **facts: Any
    ) -> dict[str, Any]:
        """The lease of a person, once it is as the facts say."""

        def look() -> dict[str, Any] | None:
            lease = self.lease_of(person)
            return lease if lease and all(lease[k] == v for k, v in facts.items()) else None

        return wait_until(look, within_s=within_s, what=f"a lease of {person.name} with {facts}")

    def wait_until_free(self, person: Person, within_s: float = 30) -> None:
        wait_until(
            lambda: self.lease_of(person) is None, within_s=within_s, what="the lease has ended"
        )

    def pass_time(self, seconds: float) -> None:
        """Move the service's clocks on, as if that time had passed."""
        self.passed += seconds
        self.clock.write_text(f"{self.passed}\n")

    def processes_of(self, lease: dict[str, Any]) -> list[psutil.Process]:
        """What carries the lease in its environment."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("MLHUB_LEASE_ID") == lease["id"]:
                    found.append(process)
            except psutil.Error:
                continue
        return found


@pytest.fixture(scope="session")
def boss() -> Iterator[Person]:
    """An OS user who may use sudo, and so is the hub's admin."""
    with os_user("boss") as person:
        subprocess.run(["usermod", "-aG", "sudo", person.name], check=True)
        yield person


@pytest.fixture(scope="session")
def _lab(open_directory: Path) -> Iterator[Lab]:
    home = open_directory / "lab"
    home.mkdir()
    clock, gpus = home / "clock", home / "gpus.yaml"
    clock.write_text("0\n")
    gpus.write_text(json.dumps(GPUS))
    settings = {
        "simulation": {"clock_file": str(clock)},
        "flavors": FLAVORS,
        "profiles": PROFILES,
        "limits": {"everyone": {"devices": 4, "memory": "320 GiB"}},
    }
    with running_stack(home, settings=settings, gpus_file=gpus) as stack:
        yield Lab(stack, clock)


@pytest.fixture
def lab(_lab: Lab) -> Iterator[Lab]:
    """The lab with everything free; afterwards every server is stopped."""
    yield _lab
    hub = f"{_lab.stack.url}hub/api"
    token = {"Authorization": f"token {_lab.stack.token('quota')}"}
    for claim in _lab.get("queue")["items"]:
        requests.delete(
            f"{_lab.api}/claims/{claim['id']}", timeout=30,
            headers={"Authorization": f"token {_lab.stack.token('spawner')}"},
        )  # fmt: skip
    for user in requests.get(f"{hub}/users", headers=token, timeout=30).json():
        for name in user["servers"]:
            path = f"{hub}/users/{user['name']}/servers/{name}"
            requests.delete(path, headers=token, timeout=60)
    wait_until(lambda: not _lab.get("leases")["items"], within_s=60, what="everything is free")


@dataclass
class Visitor:
    """A person in a browser of their own."""

    person: Person
    page: Page
    lab: Lab
    url: str

    def open(self, path: str) -> Page:
        self.page.goto(self.url + path)
        return self.page

    def pick(self, flavor: str, count: int = 1) -> Page:
        """Open the form and choose a GPU."""
        self.open("hub/spawn")
        self.page.locator(f"input[type=radio][value='{flavor}']").check(force=True)
        self.page.locator(f".mlhub-count input[value='{count}']").check(force=True)
        return self.page

    def press_start(self) -> None:
        self.page.locator(".mlhub-start").click()

    def start(self, flavor: str, count: int = 1) -> Page:
        """Pick and start, and wait for JupyterLab."""
        self.pick(flavor, count)
        self.press_start()
        self.wait_for_lab()
        return self.page

    def wait_for_lab(self) -> None:
        self.page.wait_for_url(f"**/user/{self.person.name}/lab*", timeout=START_MS)
        self.page.wait_for_selector(".jp-Launcher", timeout=START_MS)


@pytest.fixture
def visit(chromium: Browser, lab: Lab) -> Iterator[Any]:
    """Sign a person in, in a fresh browser profile."""
    contexts: list[BrowserContext] = []

    def come(
        person: Person, *, width: int = 1280, height: int = 900, host: str = "", **more: Any
    ) -> Visitor:
        context = chromium.new_context(viewport={"width": width, "height": height}, **more)
        contexts.append(context)
        page = context.new_page()
        url = lab.url.replace("127.0.0.1", host) if host else lab.url
        page.goto(url)
        page.fill("[name=username]", person.name)
        page.fill("[name=password]", person.password)
        page.click("[type=submit]")
        page.wait_for_url(SIGNED_IN, timeout=START_MS)
        return Visitor(person, page, lab, url)

    yield come
    for context in contexts:
        context.close()


@pytest.fixture
def picture() -> Any:
    """Keep a screenshot where MLHUB_SCREENSHOTS names a folder (`make screenshots`)."""
    folder = os.environ.get("MLHUB_SCREENSHOTS")

    def take(page: Page, name: str, *, full: bool = True) -> None:
        if folder:
            page.screenshot(path=f"{folder}/{name}.png", full_page=full)

    return take
