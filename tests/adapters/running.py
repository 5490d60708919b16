"""Real processes for the tests of what is observed of them."""

import asyncio
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

DEADLINE = 20.0
SLEEP = ("sleep", "120")
KEPT = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH")


@contextmanager
def running(*command: str, lease: str = "", **more) -> Iterator[subprocess.Popen[str]]:
    """A process with a lease in its environment, ended with all of its session afterwards."""
    environment = {name: os.environ[name] for name in KEPT if name in os.environ}
    environment |= {"MLHUB_LEASE_ID": lease} if lease else {}
    process = subprocess.Popen(
        command or SLEEP, env={**environment, **more.pop("env", {})}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, **more,
    )  # fmt: skip
    try:
        yield process
    finally:
        for pid in session_of(process.pid):
            kill(pid)
        kill(process.pid)
        process.communicate()


def session_of(leader: int) -> list[int]:
    """The processes of one session, so that no orphan of a test is left."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            session = int((folder / "stat").read_text().rpartition(")")[2].split()[3])
        except OSError:
            continue
        if session == leader:
            found.append(int(folder.name))
    return found


def kill(pid: int) -> None:
    try:
        os.kill(pid, 9)
    except ProcessLookupError:
        return


def line_of(process: subprocess.Popen[str]) -> str:
    """The next line that the process writes."""
    assert process.stdout
    return process.stdout.readline().strip()


def tell(process: subprocess.Popen[str], text: str = "") -> None:
    assert process.stdin
    process.stdin.write(text + "\n")
    process.stdin.flush()


async def until(holds: Callable[[], bool], what: str) -> None:
    """Wait until it holds; say what did not when it never does."""
    end = time.monotonic() + DEADLINE
    while not holds():
        if time.monotonic() > end:
            raise AssertionError(f"never: {what}")
        await asyncio.sleep(0.02)


def runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
