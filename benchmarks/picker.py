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
from pathlib import Path

import requests

from benchmarks.api import client_for, stack_with
from benchmarks.plain_hub import plain_hub
from benchmarks.report import finish, percentile, progress
from tests.people import os_user
from tests.running import Stack

USERS = 5000
LEASES = 200


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


def timed(session: requests.Session, url: str, **more: object) -> float:
    """Milliseconds that one page takes, and that it came."""
    began = time.perf_counter()
    answer = session.get(url, timeout=60, **more)
    took = (time.perf_counter() - began) * 1000
    answer.raise_for_status()
    return took


def measure(
    stack: Stack, plain_url: str, sessions: dict[str, requests.Session], rounds: int
) -> dict:
    """p95 of the three calls, taken in turn so that all see the same machine."""
    api = f"{stack.url}services/quota/api/v1/inventory?devices=false"
    headers = {"Authorization": f"token {stack.token('spawner')}"}
    times: dict[str, list[float]] = {"form": [], "plain": [], "refresh": []}
    for _ in range(rounds):
        times["plain"].append(timed(sessions["plain"], f"{plain_url}hub/spawn"))
        times["form"].append(timed(sessions["form"], f"{stack.url}hub/spawn"))
        times["refresh"].append(timed(sessions["refresh"], api, headers=headers))
    p95 = {name: percentile(values[5:], 0.95) for name, values in times.items()}
    progress(", ".join(f"{name} p95 {value:.1f} ms" for name, value in p95.items()))
    return {
        "p95_ratio": round(p95["form"] / p95["plain"], 2),
        "refresh_ratio": round(p95["refresh"] / p95["plain"], 2),
        "form_ms": round(p95["form"], 1),
        "plain_ms": round(p95["plain"], 1),
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
        sessions = {"form": form, "plain": plain.sign_in(name), "refresh": requests.Session()}
        finish(measure(stack, plain.url, sessions, args.rounds))


if __name__ == "__main__":
    main()
