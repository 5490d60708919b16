"""Working in a server: its apps, and the way between the hub's pages."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import A100, START_MS, serious

pytestmark = [pytest.mark.browser, pytest.mark.stack, pytest.mark.root]


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
