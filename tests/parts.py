"""What tests need of the machine: a part that is missing is named, and is a failure in CI."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest
from playwright.sync_api import Browser, sync_playwright

CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP mlhub.test 127.0.0.1",
]


def missing(part: str) -> NoReturn:
    """Ends a test that cannot run here."""
    if os.environ.get("CI") == "true":
        pytest.fail(part)
    pytest.skip(part)


def need_root() -> None:
    """Ends a test that must act as several OS users where it cannot; the mark `root` does it."""
    if os.geteuid() != 0:
        missing("this test acts as several OS users or mounts a disk, and needs root")


@contextmanager
def running_chromium() -> Iterator[Browser]:
    """A browser for tests that are not `async`: its driver keeps an event loop of its own."""
    found = os.environ.get("MLHUB_CHROMIUM") or shutil.which("chromium")
    if found is None:
        missing("Chromium is missing (Debian's package chromium, or name one in MLHUB_CHROMIUM)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@contextmanager
def small_disk(place: Path, mebibytes: int) -> Iterator[Path]:
    """A file system of its own at a directory, which every OS user can pass through."""
    words = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=711", "tmpfs", str(place)]
    tried = subprocess.run(words, capture_output=True, text=True, check=False)
    if tried.returncode:
        missing(f"a small disk is missing; only root may mount one: {tried.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
