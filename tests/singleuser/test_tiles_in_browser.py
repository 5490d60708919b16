"""The launcher and its apps in a real browser, below /user/NAME/ of a real hub."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from mlhub.singleuser.lab import NEWS
from tests.singleuser.hub import Hub, wait_for
from tests.singleuser.people import signed_in

pytestmark = [pytest.mark.stack, pytest.mark.browser]

EXAMPLE = Path(__file__).parents[2] / "notebook-scripts" / "tensorboard-example.py"


@pytest.fixture(scope="module")
def server(hub: Hub) -> Iterator[str]:
    hub.add_user("hopper")
    yield hub.start_server("hopper")
    hub.api("DELETE", "users/hopper/server")


@pytest.fixture
def page(hub: Hub, chromium: Browser, server: str) -> Iterator[Page]:
    with signed_in(chromium, hub, "hopper") as page:
        yield page


def test_the_launcher_has_a_tile_with_icon_for_each_app(page: Page, server: str) -> None:
    page.goto(f"{server}lab")
    for title in ("VS Code", "TensorBoard", "MLflow"):
        tile = page.locator(f".jp-LauncherCard[title^='{title}']")
        tile.wait_for()
        icon = tile.locator("img")
        assert icon.evaluate("image => image.complete && image.naturalWidth > 0"), title
    page.locator(".jp-LauncherCard[title*='terminal' i]").first.wait_for()


def test_nobody_is_asked_about_news_from_outside(page: Page, server: str) -> None:
    page.goto(f"{server}lab")
    page.locator(".jp-Launcher").wait_for()
    settings = page.locator("#jupyter-config-data").text_content()
    assert settings is not None
    assert NEWS in json.loads(settings)["disabledExtensions"]


def test_the_mlflow_tile_opens_the_teams_server(page: Page, server: str, hub: Hub) -> None:
    page.goto(f"{server}lab")
    with page.context.expect_page() as opened:
        page.locator(".jp-LauncherCard[title^='MLflow']").click()
    opened.value.wait_for_load_state("commit")
    assert opened.value.url.endswith("/services/mlflow/")


def test_vs_code_opens_and_its_terminal_works(page: Page, server: str, home_of: Path) -> None:
    page.goto(f"{server}vscode/")
    page.locator(".monaco-workbench").wait_for()
    page.locator(".part.activitybar").wait_for()
    page.keyboard.press("Control+Backquote")
    terminal = page.locator(".terminal-wrapper .xterm-helper-textarea").first
    terminal.wait_for(state="attached")
    page.locator(".xterm-screen").first.click()
    page.keyboard.type(
        "echo $((6*7)) > written-in-vscode; echo $MLHUB_LEASE_ID >> written-in-vscode\n"
    )
    written = home_of / "hopper" / "written-in-vscode"
    wait_for("line", lambda: written.exists() and len(written.read_text().split()) == 2)
    assert written.read_text() == "42\nlease-of-hopper\n"


def test_tensorboard_shows_a_curve(page: Page, server: str, home_of: Path) -> None:
    logdir = home_of / "hopper" / "runs"
    subprocess.run([sys.executable, str(EXAMPLE), "--logdir", str(logdir)], check=True)
    page.goto(f"{server}tensorboard/?darkMode=false#timeseries")
    page.get_by_text("example-1").first.wait_for()
    page.get_by_text("loss", exact=True).first.wait_for()
    page.locator("scalar-card line-chart, scalar-card svg, scalar-card canvas").first.wait_for()
