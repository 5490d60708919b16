"""One page with two providers and the local password, used by a person in a browser."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urljoin

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.faces.authenticator.stack import OidcProvider, SignInHub
from tests.singleuser.hub import free_ports

pytestmark = [pytest.mark.stack, pytest.mark.browser]


class House(NamedTuple):
    hub: SignInHub
    company: OidcProvider
    partner: OidcProvider


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    hub = SignInHub(tmp_path_factory.mktemp("hub"), person="alice")
    providers = {
        name: OidcProvider(tmp_path_factory.mktemp(name), hub.callback(name))
        for name in ("company", "partner")
    }
    with ExitStack() as stack:
        for provider in providers.values():
            stack.enter_context(provider.running())
        own = {"groups_claim": None, "accounts": {"id-1": "alice"}, "label": "Example University"}
        nobody = f"http://127.0.0.1:{free_ports(1)[0]}"
        nowhere = {"issuer": nobody, "groups_claim": None, "label": "Closed Institute"}
        sections = {
            "company": providers["company"].settings(allow_all=True, **own),
            "partner": providers["partner"].settings(allow_all=True),
            "closed": providers["partner"].settings(allow_all=True, **nowhere),
        }
        hub.settings = {"local_password": True, "providers": sections}
        stack.enter_context(hub.running())
        yield House(hub, **providers)


def sign_in_page(page: Page, house: House, next_page: str = "") -> None:
    page.goto(f"{house.hub.url}/hub/login{next_page}")


def fill(page: Page, name: str, password: str) -> None:
    page.fill("#username_input", name)
    page.fill("#password_input", password)
    page.click("#login_submit")


def password(house: House) -> str:
    return (house.hub.directory / "sign-in-password").read_text().strip()


def refusal(page: Page) -> str:
    return page.locator("#sign-in-refusal").inner_text()


def test_the_page_offers_both_providers_and_the_password(house: House, page: Page) -> None:
    sign_in_page(page, house)
    expect(page.locator("h1")).to_have_text("Sign in")
    buttons = page.locator(".sign-in-provider")
    expect(buttons).to_contain_text(["Sign in with Example University", "Sign in with Partner"])
    expect(page.locator("#username_input")).to_have_value("alice")
    expect(page.locator("#password_hint")).to_contain_text("sign-in-password")


def test_the_person_signs_in_with_the_generated_password(house: House, page: Page) -> None:
    sign_in_page(page, house, "?next=%2Fhub%2Ftoken")
    fill(page, "alice", password(house))
    expect(page).to_have_url(f"{house.hub.url}/hub/token")
    assert house.hub.user("alice")["admin"] is True


def test_another_name_is_told_why_on_the_page(house: House, page: Page) -> None:
    sign_in_page(page, house)
    fill(page, "<b>bob</b>", password(house))
    assert "This hub runs without root, as 'alice': only 'alice' can sign in here" in refusal(page)
    assert "'<b>bob</b>'" in refusal(page)
    assert house.hub.user("bob") is None


def test_a_wrong_password_says_where_the_right_one_is(house: House, page: Page) -> None:
    sign_in_page(page, house, "?next=%2Fhub%2Ftoken")
    fill(page, "alice", "wrong")
    assert "This is not the password" in refusal(page)
    fill(page, "alice", password(house))
    expect(page).to_have_url(f"{house.hub.url}/hub/token")


def test_a_provider_brings_back_to_the_page_that_was_asked_for(house: House, page: Page) -> None:
    house.company.people(id_1={"preferred_username": "a.smith"})
    page.goto(f"{house.hub.url}/hub/token")
    page.click("#sign-in-company")
    page.fill("input[name=id]", "id-1")
    page.click("button")
    expect(page).to_have_url(f"{house.hub.url}/hub/token")
    expect(page.locator("#login_widget")).to_contain_text("alice")


def test_without_root_a_providers_other_people_are_refused(house: House, page: Page) -> None:
    house.partner.people(
        id_2={"preferred_username": "mallory"}, id_3={"preferred_username": "alice"}
    )
    for stable_id, text in {"id-2": "only 'alice' can sign in", "id-3": "another way to"}.items():
        page.context.clear_cookies()
        sign_in_page(page, house)
        page.click("#sign-in-partner")
        page.fill("input[name=id]", stable_id)
        page.click("button")
        assert text in refusal(page)


def answer_of_company(client: httpx.Client, house: House) -> str:
    """Sign in at the provider, and stop before the hub gets its answer."""
    address = f"{house.hub.url}/hub/company/oauth_login"
    while "/oauth_callback" not in address:
        answer = client.get(address)
        if answer.status_code == 200:
            answer = client.post(address, data={"id": "id-1"})
        address = urljoin(address, answer.headers["Location"])
    return address


def test_an_answer_counts_once_and_for_its_own_provider_only(house: House) -> None:
    house.company.people(id_1={"preferred_username": "alice"})
    with httpx.Client() as client:
        answer = answer_of_company(client, house)
        foreign = answer.replace("/company/", "/partner/").split("&iss=")[0]
        assert "begun in another browser" in client.get(foreign).text
        with httpx.Client() as other_browser:
            assert "begun in another browser" in other_browser.get(answer).text
        assert client.get(answer).headers["Location"] == "/hub/home"
        assert "begun in another browser" in client.get(answer).text


def test_two_sign_ins_at_two_providers_do_not_disturb_each_other(
    house: House, context: BrowserContext
) -> None:
    house.company.people(id_1={"preferred_username": "alice"})
    first, second = context.new_page(), context.new_page()
    for page, name in ((first, "company"), (second, "partner")):
        sign_in_page(page, house)
        page.click(f"#sign-in-{name}")
    first.fill("input[name=id]", "id-1")
    first.click("button")
    expect(first).to_have_url(f"{house.hub.url}/hub/home")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_fits_and_can_be_read_by_everybody(
    house: House, chromium: Browser, width: int, scheme: str, tmp_path: Path
) -> None:
    context = chromium.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    sign_in_page(page, house)
    fill(page, "bob", "x")
    assert refusal(page)
    wide = page.evaluate("document.documentElement.scrollWidth")
    found = Axe().run(page, context="main")
    page.screenshot(path=tmp_path / f"sign-in-{width}-{scheme}.png", full_page=True)
    context.close()
    assert wide <= width
    assert [violation["id"] for violation in found.response["violations"]] == []


def test_the_form_works_from_the_keyboard_and_shows_the_password(house: House, page: Page) -> None:
    sign_in_page(page, house)
    page.focus("#username_input")
    page.keyboard.press("Tab")
    page.keyboard.type(password(house))
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(page.locator("#password_input")).to_have_attribute("type", "text")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{house.hub.url}/hub/home")


def test_a_form_without_its_fields_is_refused_and_not_an_error(house: House, page: Page) -> None:
    sign_in_page(page, house)
    page.evaluate("""() => {
        document.querySelectorAll('#username_input, #password_input').forEach(e => e.remove());
        document.querySelector('form').submit();
    }""")
    assert "only 'alice' can sign in here" in refusal(page)


def test_a_page_that_is_an_hour_old_asks_to_try_again(house: House, page: Page) -> None:
    sign_in_page(page, house)
    page.context.clear_cookies()
    page.evaluate("document.querySelector('input[name=_xsrf]').value = 'stale'")
    fill(page, "alice", password(house))
    assert "Try again" in refusal(page)


def test_too_many_wrong_passwords_wait(house: House, page: Page) -> None:
    sign_in_page(page, house)
    for _try in range(12):
        fill(page, "alice", "wrong")
    assert "Too many wrong passwords. Try again in" in refusal(page)
    fill(page, "alice", password(house))
    assert "Too many wrong passwords. Try again in" in refusal(page)


def test_a_silent_provider_is_named_and_the_page_stays(house: House, page: Page) -> None:
    sign_in_page(page, house)
    page.click("#sign-in-closed")
    assert refusal(page).startswith("Closed Institute does not answer just now.")
    expect(page.locator("#sign-in-company")).to_be_visible()
