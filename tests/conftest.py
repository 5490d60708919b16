"""What every test may use: a stack, people to use it, and a browser."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.parts import need_root, running_chromium
from tests.people import Person, os_user
from tests.running import Stack, running_stack


def pytest_configure() -> None:
    """Ctrl-C works in what the tests start, even where a shell began them in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests with the mark `root` are for root alone."""
    if item.get_closest_marker("root"):
        need_root()


@pytest.fixture(scope="session")
def open_directory() -> Iterator[Path]:
    """A directory for stacks that every OS user can pass through; pytest's own are private."""
    with tempfile.TemporaryDirectory(prefix="mlhub-stacks-") as name:
        directory = Path(name)
        directory.chmod(0o711)
        yield directory


@pytest.fixture(scope="session")
def stack(open_directory: Path) -> Iterator[Stack]:
    """One stack with simulated GPUs for all tests that leave it as they found it."""
    with running_stack(open_directory / "shared", words=["--gpus", "simulated"]) as running:
        yield running


@pytest.fixture(scope="session")
def ada() -> Iterator[Person]:
    """An OS user."""
    with os_user("ada") as person:
        yield person


@pytest.fixture(scope="session")
def bob() -> Iterator[Person]:
    """Another OS user."""
    with os_user("bob") as person:
        yield person


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser for a module without `async` tests."""
    with running_chromium() as browser:
        yield browser


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A page of a fresh browser profile: nobody is signed in."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    yield context.new_page()
    context.close()
