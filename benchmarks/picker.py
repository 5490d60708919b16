"""The form of a busy hub beside JupyterHub's plain form: 5,000 users, 200 leases, both in turn."""

from __future__ import annotations

import argparse
import asyncio
import os
import pwd
import secrets
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.cookies import get_cookie_header

from benchmarks.api import client_for, stack_with
from benchmarks.plain_hub import plain_hub
from benchmarks.report import finish, percentile, progress
from tests.people import os_user
from tests.running import Stack

USERS = 5000
LEASES = 200
WARM = 10  # rounds before the first that counts


@contextmanager
def signed_in(stack: Stack) -> Iterator[tuple[str, requests.Session]]:
    """Somebody who may sign in to the stack: an OS user of their own where that can be made."""
    if os.geteuid() != 0:
        name = pwd.getpwuid(os.getuid()).pw_name
        password = (stack.home / "hub" / "sign-in-password").read_text().strip()
        yield name, stack.sign_in(name, password)
        return
    with os_user("bench") as person:
        yield person.name, stack.sign_in(person.name, person.password)


def add_users(database: Path) -> None:
    """Make 5,000 users where the hub keeps them: its API takes 26 ms for each."""
    rows = [(f"user-{number}", secrets.token_hex(16)) for number in range(USERS)]
    with closing(sqlite3.connect(database, timeout=60)) as hub, hub:
        hub.executemany(
            "INSERT INTO users (name, admin, cookie_id, created) VALUES (?, 0, ?, datetime('now'))",
            rows,
        )


async def fill(stack: Stack) -> None:
    """Give out 200 leases."""
    async with client_for(stack, connections=16) as client:
        answers = await asyncio.gather(*(client.claim(f"user-{n}") for n in range(LEASES)))
    granted = sum(answer["state"] == "granted" for answer in answers)
    progress(f"{granted} leases")


class Page:
    """One address that is asked for again and again on one connection, as a browser does.

    The client is a bare one: what it takes itself would be in every figure.
    """

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        parts = urlsplit(url)
        self.path = parts._replace(scheme="", netloc="").geturl()
        self.headers = headers
        self.connection = HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        self.times: list[float] = []

    @classmethod
    def of(cls, session: requests.Session, url: str) -> Page:
        """A page as somebody sees it who is signed in."""
        cookies = get_cookie_header(session.cookies, requests.Request("GET", url).prepare())
        return cls(url, {"Cookie": cookies or ""})

    def load(self) -> None:
        """Note the milliseconds that it takes, once it came whole."""
        began = time.perf_counter()
        self.connection.request("GET", self.path, headers=self.headers)
        answer = self.connection.getresponse()
        body = answer.read()
        self.times.append((time.perf_counter() - began) * 1000)
        if answer.status != 200:
            raise RuntimeError(f"{answer.status} from {self.path}: {body[:200]!r}")

    def within(self, share: float) -> float:
        """The milliseconds within which that share of the answers came, after the first few."""
        return percentile(self.times[WARM:], share)


def refresh(stack: Stack, user: str) -> Page:
    """What the open form asks for when something changed, with the ticket that came with it."""
    api = f"{stack.url}services/quota/api/v1"
    headers = {"Authorization": f"token {stack.token('spawner')}"}
    body = {"user": user, "groups": []}
    answer = requests.post(f"{api}/tickets", json=body, headers=headers, timeout=60)
    answer.raise_for_status()
    ticket = {"Authorization": f"Ticket {answer.json()['ticket']}"}
    return Page(f"{api}/inventory?devices=false&mine=true", ticket)


def measure(pages: dict[str, Page], rounds: int) -> dict[str, Any]:
    """p95 of the calls, taken in turn so that all see the same machine.

    The floor is an answer of the same service by the same way that has nothing to work out.
    """
    for _ in range(WARM + rounds):
        for page in pages.values():
            page.load()
    p95 = {name: page.within(0.95) for name, page in pages.items()}
    middle = {name: round(page.within(0.5), 2) for name, page in pages.items()}
    progress(f"medians in ms: {middle}")
    return {
        "p95_ratio": round(p95["form"] / p95["plain"], 2),
        "refresh_ratio": round(p95["refresh"] / p95["plain"], 2),
        "floor_ratio": round(p95["floor"] / p95["plain"], 2),
        "form_ms": round(p95["form"], 1),
        "plain_ms": round(p95["plain"], 1),
        "refresh_ms": round(p95["refresh"], 1),
        "median_ms": middle,
    }


def main() -> None:
    """Measure both forms."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    args = parser.parse_args()
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)
        stack = opened.enter_context(stack_with(folder / "home", devices=256))
        plain = opened.enter_context(plain_hub(folder / "plain", stack))
        add_users(folder / "plain" / "hub.sqlite")
        add_users(stack.home / "hub" / "jupyterhub.sqlite")
        progress(f"{USERS} users in both hubs")
        asyncio.run(fill(stack))
        name, form = opened.enter_context(signed_in(stack))
        pages = {
            "plain": Page.of(plain.sign_in(name), f"{plain.url}hub/spawn"),
            "form": Page.of(form, f"{stack.url}hub/spawn"),
            "refresh": refresh(stack, name),
            "floor": Page(f"{stack.url}services/quota/healthz", {}),
        }
        finish(measure(pages, args.rounds))


if __name__ == "__main__":
    main()
