"""From `make up` in a fresh clone to the sign-in page: the first start, the second, and memory."""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from pathlib import Path

import psutil
import requests

from benchmarks.report import finish, progress
from mlhub.stack.ports import free_internal
from tests.waiting import wait_until

ROOT = Path(__file__).parent.parent
FIRST_S, AGAIN_S = 1200.0, 180.0


def answers(port: int) -> bool:
    """Whether the sign-in page is there."""
    try:
        return requests.get(f"http://127.0.0.1:{port}/hub/login", timeout=5).ok
    except requests.ConnectionError:
        return False


def start(clone: Path, home: Path, port: int, limit_s: float) -> tuple[float, int]:
    """One start to the sign-in page, and its end: seconds, and MiB of all its processes."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MLHUB_", "VIRTUAL_"))}
    began = time.perf_counter()
    with (clone.parent / "log").open("ab") as log:
        process = subprocess.Popen(
            ["make", "up", f"ARGS=--home {home} --port {port} --gpus simulated"], cwd=clone,
            env=environment, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    try:
        wait_until(lambda: answers(port), within_s=limit_s, what="the sign-in page")
        seconds = time.perf_counter() - began
        family = [
            psutil.Process(process.pid),
            *psutil.Process(process.pid).children(recursive=True),
        ]
        memory = sum(one.memory_info().rss for one in family) // (1024 * 1024)
    finally:
        process.terminate()
        try:
            process.wait(60)
        finally:
            down = ["make", "down", f"ARGS=--home {home}"]
            subprocess.run(down, cwd=clone, env=environment, stdout=subprocess.DEVNULL, check=False)
    return seconds, memory


def main() -> None:
    """Measure both starts."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        clone, home = Path(folder, "mlhub"), Path(folder, "home")
        subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
        port = free_internal(1)[0]
        first, _ = start(clone, home, port, FIRST_S)
        progress(f"first start {first:.1f} s")
        second, memory = start(clone, home, port, AGAIN_S)
        progress(f"second start {second:.1f} s, {memory} MiB")
    finish({"first_s": round(first, 1), "second_s": round(second, 1), "rss_mib": memory})


if __name__ == "__main__":
    main()
