"""The form in a real browser, on either version of the hub."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

from tests.faces.spawner.hubs import SpawnHub
from tests.faces.spawner.small_service import SmallFlavor, SmallService
from tests.people import Person
from tests.waiting import wait_until

pytestmark = [pytest.mark.stack, pytest.mark.browser, pytest.mark.root]

Open = Callable[..., Page]
SERIOUS = {"serious", "critical"}


@pytest.fixture
def open_form(
    chromium: Browser, hub: SpawnHub, ada: Person, service: SmallService
) -> Iterator[Open]:
    """Opens the form as Ada, who never chose anything, in a fresh browser profile."""
    contexts = []
    hub.api("DELETE", f"users/{ada.name}").raise_for_status()
    hub.add_user(ada.name)

    def opened(width: int = 1280, theme: str = "light", script: bool = True) -> Page:
        context = chromium.new_context(
            viewport={"width": width, "height": 900}, java_script_enabled=script
        )
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: pytest.fail(f"in the page: {error}"))
        page.goto(f"{hub.url}/hub/login")
        page.fill("#username_input", ada.name)
        page.fill("#password_input", hub.password)
        page.click("#login_submit")
        page.goto(f"{hub.url}/hub/spawn")
        if script:
            page.evaluate("theme => document.documentElement.dataset.bsTheme = theme", theme)
        return page

    yield opened
    for context in contexts:
        context.close()
    wait_until(lambda: not service.listeners, within_s=10, what="the end of the streams")


def card(page: Page, name: str) -> Locator:
    return page.locator(".mlhub-rows label.mlhub-card", has_text=name)


def button(page: Page) -> Locator:
    return page.locator(".mlhub-start")


def reload_until_visible(page: Page, wanted: Locator) -> None:
    """Opens the form again until it shows something; what it shows may be two seconds old."""

    def shown() -> bool:
        page.reload()
        return wanted.is_visible()

    wait_until(shown, within_s=10, what=f"{wanted} in a fresh form")


def held_by_eve(service: SmallService, flavor: int, count: int = 1) -> None:
    row = service.flavors[flavor]
    service.grant({"user": "eve", "server": "", "flavor": row.name, "count": count}, row)


def test_each_gpu_says_how_many_are_free_and_the_button_what_will_happen(
    open_form: Open, service: SmallService
) -> None:
    held_by_eve(service, 0)
    held_by_eve(service, 1)
    service.flavors[1].waiting = 2
    page = open_form()
    expect(card(page, "A100")).to_contain_text("1 of 2 free")
    expect(card(page, "A100")).to_contain_text("1.20 /h")
    expect(card(page, "T4")).to_contain_text("2 waiting, about 25 min, likely 5–40 min")
    expect(button(page)).to_have_text("Start")
    card(page, "T4").click()
    expect(button(page)).to_have_text("Join the queue: 3rd, about 25 min")
    card(page, "A100").click()
    expect(button(page)).to_have_text("Start")
    expect(page.locator(".mlhub-summary")).to_have_text("Python 3 · 1 × A100 80 GB")


def test_it_refreshes_by_itself_keeps_what_was_picked_and_points_out_the_change(
    open_form: Open, service: SmallService
) -> None:
    page = open_form()
    card(page, "T4").click()
    expect(button(page)).to_have_text("Start")
    wait_until(lambda: service.listeners, within_s=10, what="the stream of events")
    held_by_eve(service, 1)
    service.announce()
    expect(card(page, "T4")).to_contain_text("0 of 1 free")
    expect(card(page, "T4").locator("input")).to_be_checked()
    expect(button(page)).to_have_text("Join the queue: 1st, about 25 min")
    said = page.locator(".mlhub-said")
    expect(said).to_have_text(
        "What you picked has changed. Now: Join the queue: 1st, about 25 min."
    )
    expect(said).to_have_attribute("role", "status")
    card(page, "A100").click()
    expect(said).to_be_hidden()


def test_two_tabs_of_a_browser_share_one_stream_and_both_are_fresh(
    open_form: Open, service: SmallService, hub: SpawnHub
) -> None:
    first = open_form()
    wait_until(lambda: service.listeners, within_s=10, what="the stream of events")
    second = first.context.new_page()
    second.goto(f"{hub.url}/hub/spawn")
    expect(card(second, "A100")).to_contain_text("2 of 2 free")
    held_by_eve(service, 0)
    service.announce()
    for page in (first, second):
        expect(card(page, "A100")).to_contain_text("1 of 2 free")
    assert len(service.listeners) == 1
    first.close()
    wait_until(lambda: service.listeners, within_s=10, what="the other tab's stream")


def test_what_one_may_not_have_says_why_and_the_button_is_off(
    open_form: Open, service: SmallService, ada: Person
) -> None:
    service.flavors.append(SmallFlavor("h100", "H100", 1, allowed=False, why_not="Not for you."))
    service.limits.update(devices=1)
    lease = service.grant(
        {"user": ada.name, "server": "train", "flavor": "t4", "count": 1}, service.flavors[1]
    )
    page = open_form()
    reload_until_visible(page, card(page, "H100"))
    card(page, "A100").click()
    expect(button(page)).to_be_disabled()
    reason = page.locator(".mlhub-reason")
    expect(reason).to_contain_text("Your limit is 1 GPU; you hold 1: server 'train', since")
    card(page, "H100").click()
    expect(reason).to_have_text("Not for you.")
    expect(card(page, "H100")).to_contain_text("Not for you.")
    lease.update(status="ended")
    service.announce("leases")
    card(page, "A100").click()
    expect(button(page)).to_be_enabled()


def test_a_count_that_never_fits_says_why(open_form: Open) -> None:
    page = open_form()
    card(page, "T4").click()
    page.locator(".mlhub-count label.mlhub-card", has_text="2").click()
    expect(page.locator(".mlhub-too-many")).to_have_text("2: One server can have at most 1 of T4.")
    expect(button(page)).to_be_disabled()
    card(page, "A100").click()
    expect(button(page)).to_be_enabled()


def test_a_click_on_the_queue_leads_to_ones_place(open_form: Open, service: SmallService) -> None:
    held_by_eve(service, 1)
    page = open_form()
    card(page, "T4").click()
    button(page).click()
    page.wait_for_url("**/services/quota/waiting/waits-*")


def test_a_slow_answer_leads_to_ones_place_too(open_form: Open, service: SmallService) -> None:
    held_by_eve(service, 1)
    page = open_form()
    card(page, "T4").click()
    expect(button(page)).to_contain_text("Join the queue")
    service.faults.append(("POST", "/claims", "hang"))
    button(page).click()
    page.wait_for_url("**/hub/spawn-pending/**")
    page.wait_for_url("**/services/quota/waiting/waits-*")


def test_start_means_start_and_never_joins_a_queue_unasked(
    open_form: Open, service: SmallService
) -> None:
    page = open_form()
    card(page, "T4").click()
    expect(button(page)).to_have_text("Start")
    held_by_eve(service, 1)  # in the same moment, before the page has heard of it
    button(page).click()
    expect(page.get_by_role("alert")).to_contain_text("All 1 T4 are in use")
    expect(card(page, "T4").locator("input")).to_be_checked()
    expect(button(page)).to_have_text("Join the queue: 1st, about 25 min")


def test_a_start_leads_to_the_server_and_the_choice_is_remembered(
    open_form: Open, hub: SpawnHub, ada: Person
) -> None:
    page = open_form()
    card(page, "A100").click()
    page.locator(".mlhub-count label.mlhub-card", has_text="2").click()
    page.select_option("#mlhub-duration", "2h")
    button(page).click()
    page.wait_for_url(f"**/user/{ada.name}/**")
    hub.stop_server(ada.name)
    page.goto(f"{hub.url}/hub/spawn")
    expect(card(page, "A100").locator("input")).to_be_checked()
    expect(page.locator(".mlhub-count input[value='2']")).to_be_checked()
    expect(page.locator("#mlhub-duration")).to_have_value("2h")


def test_the_keyboard_alone_picks_and_starts(
    open_form: Open, hub: SpawnHub, ada: Person, service: SmallService
) -> None:
    page = open_form()
    page.locator("input[name='profile']:checked").focus()
    page.keyboard.press("Tab")
    expect(page.locator(".mlhub-gpu input[value='none']")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.locator(".mlhub-gpu input[value='a100']")).to_be_checked()
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    expect(page.locator(".mlhub-count input[value='2']")).to_be_checked()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(button(page)).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/user/{ada.name}/**")
    assert service.calls("POST", "/claims")[0]["count"] == 2


def test_a_screen_reader_hears_each_choice_with_its_state(
    open_form: Open, service: SmallService
) -> None:
    held_by_eve(service, 0)
    page = open_form()
    group = page.get_by_role("group", name="GPU")
    radio = group.get_by_role("radio", name=re.compile(r"A100 80 GB.*1 of 2 free.*starts now"))
    expect(radio).to_have_count(1)
    expect(page.get_by_role("group", name="Environment").get_by_role("radio")).to_have_count(3)
    expect(button(page)).to_have_attribute("aria-describedby", "mlhub-reason")


@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(
    open_form: Open, service: SmallService, width: int, theme: str
) -> None:
    service.simulated = True
    held_by_eve(service, 1)
    page = open_form(width=width, theme=theme)
    card(page, "T4").click()
    expect(button(page)).to_contain_text("Join the queue")
    found = Axe().run(page).response["violations"]
    assert [row["id"] for row in found if row["impact"] in SERIOUS] == []


@pytest.mark.parametrize("width", [360, 768, 1600])
def test_it_fits_every_width(open_form: Open, width: int) -> None:
    page = open_form(width=width)
    expect(button(page)).to_be_in_viewport()
    wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0


def test_only_the_questions_of_the_picked_environment_are_asked(open_form: Open) -> None:
    page = open_form()
    expect(page.locator(".mlhub-options-0")).to_be_visible()
    page.get_by_text("Two at once", exact=True).click()
    expect(page.locator(".mlhub-options-0")).to_be_hidden()
    expect(page.locator("label.mlhub-card", has_text="Two at once")).to_contain_text("2 of 2 free")
    expect(button(page)).to_have_text("Start")
    expect(page.locator("#mlhub-duration option").first).to_have_text("2 h (usual)")


def test_words_of_ones_own_pick_themselves(open_form: Open) -> None:
    page = open_form()
    page.get_by_text("Own image", exact=True).click()
    page.get_by_label("Image and tag").fill("mine:7")
    expect(page.locator("input[value='unlisted-choice']")).to_be_checked()
    expect(page.locator(".mlhub-summary")).to_have_text("Own image · mine:7 · small")


def test_without_any_script_it_is_a_form_that_posts(open_form: Open, service: SmallService) -> None:
    held_by_eve(service, 1)
    page = open_form(script=False)
    reload_until_visible(page, card(page, "T4").get_by_text("0 of 1 free"))
    expect(page.locator("#mlhub-wait")).to_be_checked()
    card(page, "T4").click()
    button(page).click()
    page.wait_for_url("**/services/quota/waiting/waits-*")
    (claim,) = service.calls("POST", "/claims")
    assert (claim["flavor"], claim["wait"]) == ("t4", True)


def test_without_any_script_one_may_decline_to_wait(open_form: Open, service: SmallService) -> None:
    held_by_eve(service, 1)
    page = open_form(script=False)
    card(page, "T4").click()
    page.locator("#mlhub-wait").uncheck()
    button(page).click()
    expect(page.get_by_role("alert")).to_contain_text("All 1 T4 are in use")


def test_while_the_service_is_away_it_says_so_and_learns_of_its_return(
    open_form: Open, service: SmallService
) -> None:
    service.do(service.close())
    try:
        page = open_form()
        reload_until_visible(page, page.locator(".mlhub-away"))
        expect(page.locator(".mlhub-away")).to_contain_text("not known")
        expect(button(page)).to_have_text("Start")
    finally:
        service.do(service.listen())
    expect(page.locator(".mlhub-away")).to_have_count(0, timeout=60_000)
    held_by_eve(service, 0)
    wait_until(lambda: service.listeners, within_s=20, what="the stream of events")
    service.announce()
    expect(card(page, "A100")).to_contain_text("1 of 2 free")


def test_a_ticket_that_has_ended_is_replaced_without_a_reload(
    open_form: Open, service: SmallService
) -> None:
    page = open_form()
    wait_until(lambda: service.listeners, within_s=10, what="the stream of events")
    page.evaluate("window.kept = true")
    service.end_tickets()
    held_by_eve(service, 0)
    service.announce()
    expect(card(page, "A100")).to_contain_text("1 of 2 free")
    assert page.evaluate("window.kept")


def test_simulated_gpus_are_marked_on_every_page_of_the_hub(
    open_form: Open, service: SmallService, hub: SpawnHub
) -> None:
    service.simulated = True
    page = open_form()
    banner = page.locator(".mlhub-page-banner, .mlhub-simulated").filter(visible=True)

    def marked() -> bool:
        page.goto(f"{hub.url}/hub/spawn")
        return banner.count() == 1

    wait_until(marked, within_s=20, what="the banner")
