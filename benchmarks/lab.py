"""From the click on Start to a usable JupyterLab: ours with a GPU beside the stock spawner's."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.api import FLAVOR, stack_with
from benchmarks.picker import signed_in
from benchmarks.plain_hub import plain_hub
from benchmarks.report import finish, progress
from tests.waiting import wait_until

LIMIT_S = 120.0
CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]


@dataclass
class Side:
    """One hub, somebody who is signed in to it, and how long their starts took.

    Attributes:
        flavor: the GPU to pick in its form; "" where there is none to pick.
        times: seconds from the click to a usable JupyterLab.
        left: seconds from the click to the moment when the hub's page leads on.
    """

    name: str
    url: str
    user: str
    session: requests.Session
    page: Page
    flavor: str = ""
    times: list[float] = field(default_factory=list)
    left: list[float] = field(default_factory=list)

    def start(self) -> None:
        """Note the seconds from the click until the launcher's cards are there."""
        self.page.goto(f"{self.url}hub/spawn")
        if self.flavor:
            self.page.locator(f"input[type=radio][value='{self.flavor}']").check(force=True)
        began = time.perf_counter()
        self.page.locator("form [type=submit]").first.click(no_wait_after=True)
        self.page.wait_for_url(
            f"**/user/{self.user}/lab*", timeout=LIMIT_S * 1000, wait_until="commit"
        )
        self.left.append(time.perf_counter() - began)
        self.page.wait_for_selector(".jp-LauncherCard", timeout=LIMIT_S * 1000)
        self.times.append(time.perf_counter() - began)

    def stop(self) -> None:
        """End the server, and wait until the hub says that it has ended."""
        self.page.goto("about:blank")
        headers = {"X-XSRFToken": self.session.cookies.get("_xsrf", path="/hub/") or ""}
        api = f"{self.url}hub/api/users/{self.user}"
        self.session.delete(f"{api}/server", headers=headers, timeout=60).raise_for_status()
        wait_until(
            lambda: not self.session.get(api, timeout=30).json()["servers"],
            within_s=LIMIT_S, what="the end of the server",
        )  # fmt: skip

    def middle(self, warm: int) -> float:
        """The median of what counts, in seconds."""
        return statistics.median(self.times[warm:])


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser: the machine's where there is one, else Playwright's own."""
    path = CHROMIUM if Path(CHROMIUM).exists() else None
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


def page_of(browser: Browser, session: requests.Session, url: str) -> Page:
    """A browser of its own that has the sign-in of a session."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    host = urlsplit(url).hostname
    context.add_cookies(
        [
            {"name": row.name, "value": row.value or "", "domain": host, "path": row.path}
            for row in session.cookies
        ]
    )
    return context.new_page()


def measure(ours: Side, stock: Side, rounds: int, warm: int) -> dict[str, Any]:
    """Start and stop on both in turn; which one is first changes from round to round."""
    for number in range(warm + rounds):
        for side in (ours, stock) if number % 2 else (stock, ours):
            side.start()
            progress(f"{number + 1}: {side.name} {side.times[-1]:.2f} s")
            side.stop()
    mine, theirs = ours.middle(warm), stock.middle(warm)
    return {
        "rounds": rounds,
        "ours_s": round(mine, 2),
        "stock_s": round(theirs, 2),
        "ratio": round(mine / theirs, 2),
        "ours_hub_s": round(statistics.median(ours.left[warm:]), 2),
        "stock_hub_s": round(statistics.median(stock.left[warm:]), 2),
    }


def main() -> None:
    """Measure both spawners with the same environment, the same OS user and the same home."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--warm", type=int, default=1, help="rounds before the first that counts")
    args = parser.parse_args()
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)
        stack = opened.enter_context(stack_with(folder / "home", devices=4))
        plain = opened.enter_context(plain_hub(folder / "plain", stack, spawner="localprocess"))
        name, session = opened.enter_context(signed_in(stack))
        browser = opened.enter_context(chromium())
        theirs = plain.sign_in(name)
        ours = Side("ours", stack.url, name, session, page_of(browser, session, stack.url), FLAVOR)
        stock = Side("stock", plain.url, name, theirs, page_of(browser, theirs, plain.url))
        finish(measure(ours, stock, args.rounds, args.warm))


if __name__ == "__main__":
    main()
