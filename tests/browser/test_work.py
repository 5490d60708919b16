"""Working in a server: its apps, and the way between the hub's pages."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import A100, START_MS, T4, serious
from tests.people import Person, os_user
from tests.waiting import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.stack, pytest.mark.root]


@pytest.fixture
def carol() -> Iterator[Person]:
    """Somebody new: JupyterLab opens again what one had open the last time."""
    with os_user("carol") as person:
        yield person


def in_terminal(page: Page, command: str) -> None:
    """Opens a terminal in JupyterLab and runs a command there."""
    page.locator(".jp-LauncherCard[title*='terminal' i]").first.click()
    page.locator(".jp-Terminal .xterm-helper-textarea").wait_for(state="attached")
    page.locator(".jp-Terminal .xterm-screen").click()
    page.keyboard.type(command + "\n")


def test_a_run_from_a_terminal_arrives_in_mlflow_under_ones_own_name(carol, lab, visit):
    visitor = visit(carol)
    page = visitor.start(T4)
    in_terminal(page, "cd ~/mlhub-examples; python mlflow-example.py > ~/said 2>&1; touch ~/over")
    said, over = carol.home / "said", carol.home / "over"
    wait_until(over.exists, within_s=120, what="the end of the example")
    told = re.search(rf"run (\S+) of {carol.name} is in experiment 'first-steps'", said.read_text())
    assert told, said.read_text()
    page = visitor.open("services/mlflow/")
    page.get_by_text("first-steps").first.click(timeout=START_MS)
    page.wait_for_url(re.compile(r"/experiments/\d+"))
    experiment = re.search(r"/experiments/\d+", page.url)
    assert experiment
    page = visitor.open(f"services/mlflow/#{experiment.group()}/runs/{told.group(1)}")
    expect(page.locator("body")).to_contain_text("straight line", timeout=START_MS)
    expect(page.locator("body")).to_contain_text(carol.name, timeout=START_MS)


def test_vs_code_and_tensorboard_open_below_ones_own_server(lab, ada, bob, visit, picture):
    visitor = visit(ada)
    page = visitor.start(A100)
    picture(page, "jupyterlab", full=False)
    base = f"user/{ada.name}/"
    page = visitor.open(f"{base}vscode/")
    page.locator(".monaco-workbench").wait_for(timeout=START_MS)
    page = visitor.open(f"{base}tensorboard/")
    expect(page).to_have_title(re.compile("TensorBoard"), timeout=START_MS)
    stranger = visit(bob).page
    answer = stranger.goto(f"{lab.url}{base}vscode/")
    assert answer is not None
    assert answer.status == 403


def test_every_page_of_the_hub_leads_to_the_gpus_and_back(lab, ada, visit):
    page = visit(ada).open("hub/home")
    assert serious(page) == []
    page.get_by_role("link", name="Who holds what").click()
    expect(page.get_by_role("heading", name="Who holds what")).to_be_visible()
    page.get_by_role("link", name="My GPUs").click()
    expect(page.locator(".empty")).to_contain_text("No GPU is yours at the moment.")
    assert serious(page) == []
    page.get_by_role("link", name="Home").click()
    expect(page.get_by_role("link", name="MLflow")).to_be_visible()


def test_the_sign_in_page_is_whole(lab, chromium, picture):
    context = chromium.new_context(viewport={"width": 1280, "height": 720})
    page = context.new_page()
    page.goto(lab.url)
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    picture(page, "sign-in", full=False)
    assert serious(page) == []
    context.close()
