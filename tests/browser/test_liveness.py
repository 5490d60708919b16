"""Pages that keep themselves up to date: by one stream, and never against the reader."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Page, Request, Route, expect

from tests.browser.conftest import A100, PLAIN_HOST, T4

pytestmark = [pytest.mark.browser, pytest.mark.stack, pytest.mark.root]
MINE, WHO, FORM = "services/quota/", "services/quota/who", "hub/spawn"
LOOK_ANEW = "document.dispatchEvent(new Event('visibilitychange'))"


class Streams:
    """The streams of events that the tabs of one browser have open."""

    def __init__(self, context: BrowserContext) -> None:
        self.open: dict[Request, Page] = {}
        context.on("request", self._began)
        context.on("requestfinished", lambda request: self.open.pop(request, None))
        context.on("requestfailed", lambda request: self.open.pop(request, None))

    def _began(self, request: Request) -> None:
        if request.url.endswith("/events"):
            self.open[request] = request.frame.page

    def tabs(self) -> list[Page]:
        return [page for page in self.open.values() if not page.is_closed()]


def wait_in(page: Page, what: Callable[[], bool], *, within_s: float, text: str) -> None:
    """Lets the browser go on until something is so."""
    for _ in range(round(within_s / 0.1)):
        if what():
            return
        page.wait_for_timeout(100)
    raise AssertionError(text)


@pytest.mark.parametrize("host", ["127.0.0.1", PLAIN_HOST])
def test_all_tabs_of_a_browser_share_one_stream(lab, ada, bob, visit, host):
    visitor = visit(ada, host=host)
    first = visitor.page
    streams = Streams(first.context)
    tabs = [first, first.context.new_page(), first.context.new_page()]
    for page, path in zip(tabs, (MINE, FORM, WHO), strict=True):
        page.goto(visitor.url + path)
    assert first.evaluate("Boolean(navigator.locks)") is (host != PLAIN_HOST)
    wait_in(first, lambda: len(streams.tabs()) == 1, within_s=10, text="no tab listens")
    visit(bob).start(T4)
    for page in tabs:
        page.bring_to_front()
        expect(page.locator("body")).to_contain_text("0 of 1 free", timeout=10_000)
    assert len(streams.tabs()) == 1
    [leader] = streams.tabs()
    leader.close()
    [left, _] = rest = [page for page in tabs if page is not leader]
    left.bring_to_front()
    wait_in(left, lambda: len(streams.tabs()) == 1, within_s=10, text="nobody took over the stream")
    assert streams.tabs()[0] in rest


def test_a_control_in_use_is_left_alone_while_the_page_around_it_is_refreshed(lab, ada, bob, visit):
    visitor = visit(ada)
    visitor.start(A100)
    page = visitor.open(MINE)
    duration = page.locator("select[name=duration]")
    duration.select_option("2h")
    duration.focus()
    page.evaluate("document.activeElement.dataset.same = 'yes'")
    visit(bob).start(T4)
    expect(page.locator("body")).to_contain_text("0 of 1 free", timeout=10_000)
    expect(duration).to_be_focused()
    expect(duration).to_have_value("2h")
    assert page.evaluate("document.activeElement.dataset.same") == "yes"


def test_a_page_that_is_refused_is_loaded_again_once_and_not_in_a_loop(lab, ada, visit):
    page = visit(ada).open(MINE)
    loads = []
    page.on("request", lambda row: loads.append(row) if row.is_navigation_request() else None)

    def refuse(route: Route) -> None:
        looks = route.request.resource_type == "fetch"
        route.fulfill(status=403) if looks else route.fallback()

    page.route("**/services/quota/", refuse)
    with page.expect_navigation(wait_until="load", timeout=10_000):
        page.evaluate(LOOK_ANEW)
    wait_in(page, lambda: len(loads) == 1, within_s=5, text="the page was not loaded again")
    page.wait_for_load_state("load")
    page.evaluate(LOOK_ANEW)
    expect(page.locator("#stale")).to_be_visible()
    assert len(loads) == 1
