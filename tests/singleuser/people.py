"""People at a browser: signing in to the hub as one would."""

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page

from tests.singleuser.hub import Hub


@contextmanager
def signed_in(browser: Browser, hub: Hub, user: str) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(45_000)
    page.goto(f"{hub.url}/hub/login?next=/hub/token")
    page.fill("input[name=username]", user)
    page.fill("input[name=password]", hub.password)
    page.click("input[type=submit]")
    page.wait_for_url("**/hub/token", wait_until="domcontentloaded")
    yield page
    context.close()
