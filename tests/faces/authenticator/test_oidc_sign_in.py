"""Signing in with a real OpenID provider, in a real browser, to a real hub behind its proxy."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.faces.authenticator.stack import OidcProvider, SignInHub
from tests.singleuser.hub import wait_for

pytestmark = [pytest.mark.stack, pytest.mark.browser]

ACCESS_TOKEN_SECONDS = 2
House = tuple[SignInHub, OidcProvider]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    hub = SignInHub(tmp_path_factory.mktemp("hub"))
    callback = hub.callback("company")
    company = OidcProvider(
        tmp_path_factory.mktemp("company"), callback, access_token_seconds=ACCESS_TOKEN_SECONDS
    )
    with company.running():
        rules = {"allowed_groups": ["ml", "guests"], "admin_groups": ["gpu-admins"]}
        provider = company.settings(label="ACME", **rules)
        hub.settings = {"providers": {"company": provider}, "refresh_seconds": 1}
        with hub.running():
            yield hub, company


def person(login: str, *groups: str) -> dict[str, object]:
    return {"preferred_username": login, "groups": list(groups)}


def sign_in(page: Page, hub: SignInHub, stable_id: str) -> None:
    page.goto(f"{hub.url}/hub/login")
    page.click("#sign-in-company")
    page.fill("input[name=id]", stable_id)
    page.click("button")


def refusal(page: Page) -> str:
    return page.locator("#sign-in-refusal").inner_text()


def groups(hub: SignInHub, name: str) -> list[str]:
    user = hub.user(name)
    assert user is not None
    return sorted(user["groups"])


def audit_lines(hub: SignInHub, part: str) -> list[str]:
    return [line for line in hub.log().splitlines() if "sign-in outcome" in line and part in line]


def test_a_person_signs_in_and_has_the_groups_and_rights_of_the_provider(
    house: House, page: Page
) -> None:
    hub, company = house
    company.people(id_1=person("alice", "ml", "gpu-admins"))
    sign_in(page, hub, "id-1")
    expect(page).to_have_url(f"{hub.url}/hub/home")
    assert groups(hub, "alice") == ["gpu-admins", "ml"]
    assert hub.user("alice")["admin"] is True
    assert len(audit_lines(hub, "user='alice'")) == 1


def test_a_group_that_was_taken_away_is_gone_at_the_next_refresh(house: House, page: Page) -> None:
    hub, company = house
    company.people(id_2=person("berta", "ml", "guests", "gpu-admins"))
    sign_in(page, hub, "id-2")
    expect(page).to_have_url(f"{hub.url}/hub/home")

    company.people(id_2=person("berta", "guests"))
    wait_for("the refresh", lambda: page.reload() and groups(hub, "berta") == ["guests"])

    assert hub.user("berta")["admin"] is False
    expect(page).to_have_url(f"{hub.url}/hub/home")


def test_who_is_in_no_allowed_group_any_more_loses_page_groups_and_token(
    house: House, page: Page
) -> None:
    hub, company = house
    company.people(id_3=person("carl", "ml"))
    sign_in(page, hub, "id-3")
    expect(page).to_have_url(f"{hub.url}/hub/home")
    token = hub.api("POST", "users/carl/tokens", json={}).json()["token"]
    ask = {"url": f"{hub.url}/hub/api/user", "headers": {"Authorization": f"token {token}"}}
    assert httpx.get(**ask).status_code == 200

    company.people(id_3=person("carl", "others"))
    wait_for("the end of the token", lambda: httpx.get(**ask).status_code == 403)
    page.goto(f"{hub.url}/hub/home")
    expect(page).to_have_url(f"{hub.url}/hub/login?next=%2Fhub%2Fhome")
    page.click("#sign-in-company")

    assert "none of your groups may use this hub" in refusal(page)
    assert groups(hub, "carl") == []
    assert audit_lines(hub, "outcome='revoked'")


def test_a_renamed_login_keeps_its_own_user(house: House, chromium: Browser, page: Page) -> None:
    hub, company = house
    company.people(id_4=person("dora", "ml"))
    sign_in(page, hub, "id-4")
    expect(page).to_have_url(f"{hub.url}/hub/home")

    company.people(id_4=person("dora-smith", "ml"))
    context = chromium.new_context()
    again = context.new_page()
    sign_in(again, hub, "id-4")
    expect(again.locator("#login_widget")).to_contain_text("dora")
    expect(again.locator("#login_widget")).not_to_contain_text("dora-smith")
    context.close()

    assert hub.user("dora-smith") is None


def test_a_recycled_login_never_reaches_the_first_ones_user(
    house: House, chromium: Browser, page: Page
) -> None:
    hub, company = house
    company.people(id_5=person("emil", "ml"))
    sign_in(page, hub, "id-5")
    expect(page).to_have_url(f"{hub.url}/hub/home")

    company.people(id_6=person("emil", "ml"))
    context = chromium.new_context()
    stranger = context.new_page()
    sign_in(stranger, hub, "id-6")
    said = refusal(stranger)
    stranger.goto(f"{hub.url}/hub/home")
    expect(stranger).to_have_url(f"{hub.url}/hub/login?next=%2Fhub%2Fhome")
    context.close()

    assert "'emil' belongs to another account of the same provider" in said
    assert "id-6" in said
    assert "id-5" not in said
    assert len(audit_lines(hub, "id='id-6'")) == 1


def test_who_may_not_come_in_reads_why_and_reserves_no_name(
    house: House, chromium: Browser, page: Page
) -> None:
    hub, company = house
    company.people(id_7=person("frida", "others"), id_8=person("frida", "ml"))
    sign_in(page, hub, "id-7")
    assert "none of your groups may use this hub" in refusal(page)
    assert hub.user("frida") is None

    context = chromium.new_context()
    other = context.new_page()
    sign_in(other, hub, "id-8")
    expect(other).to_have_url(f"{hub.url}/hub/home")
    context.close()


HOSTILE = {
    "a path": "../../etc/passwd",
    "dots": "..",
    "an address": "grace@example.org",
    "an uppercase name": "Grace",
    "umlauts": "Grüße",
    "a right-to-left override": "grace\u202egpj",
    "markup": "<script>alert(1)</script>",
    "a quote": "gr'ace\"; --",
    "digits": "12345",
}


@pytest.mark.parametrize("login", HOSTILE.values(), ids=HOSTILE.keys())
def test_an_odd_login_gets_a_harmless_user_name(house: House, page: Page, login: str) -> None:
    hub, company = house
    odd_id = f"odd-{list(HOSTILE.values()).index(login)}"
    company.people(**{odd_id.replace("-", "_"): person(login, "ml")})
    sign_in(page, hub, odd_id)
    expect(page).to_have_url(f"{hub.url}/hub/home")
    line = audit_lines(hub, f"id='{odd_id}'")[-1]
    name = line.split("user='")[1].split("'")[0]
    assert name.isascii()
    assert name == name.lower()
    assert len(name) <= 32
    assert not set(name) & set("/\\ %'\"<>@\r\n")
    assert hub.user(name) is not None


UNUSABLE = {
    "a line break": "heidi\r\nsign-in outcome='admitted'",
    "a null": "heidi\0",
    "a megabyte": "h" * 500_000,
    "nothing": "",
    "a number": 17,
    "a list": ["heidi"],
}


@pytest.mark.parametrize("login", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_a_login_that_is_no_name_is_refused_in_one_log_line(
    house: House, page: Page, login: object
) -> None:
    hub, company = house
    before = len(audit_lines(hub, "outcome='refused'"))
    company.people(id_9={"preferred_username": login, "groups": ["ml"]})
    sign_in(page, hub, "id-9")
    assert refusal(page)
    assert "\nsign-in outcome='admitted'" not in hub.log()
    assert len(audit_lines(hub, "outcome='refused'")) == before + 1
    assert max(len(line) for line in hub.log().splitlines()) < 5_000


def test_pages_asked_at_once_do_not_use_a_refresh_token_twice(
    house: House, context: BrowserContext, page: Page
) -> None:
    hub, company = house
    company.people(id_10=person("ida", "ml"))
    sign_in(page, hub, "id-10")
    expect(page).to_have_url(f"{hub.url}/hub/home")
    cookies = {cookie["name"]: cookie["value"] for cookie in context.cookies(f"{hub.url}/hub/")}

    def ask(_number: int = 0) -> int:
        return httpx.get(f"{hub.url}/hub/home", cookies=cookies).status_code

    for _round in range(2):  # the provider rotates: a second use of a token ends the sign-in
        known = len(refresh_lines(hub, "ida"))
        let_access_token_end(ACCESS_TOKEN_SECONDS)
        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(ask, range(16))) == {200}
        assert len(refresh_lines(hub, "ida")) > known


def let_access_token_end(seconds: float) -> None:
    end = time.monotonic() + seconds + 0.5
    wait_for("the end of the access token", lambda: time.monotonic() > end)


def refresh_lines(hub: SignInHub, name: str) -> list[str]:
    return [line for line in hub.log().splitlines() if f"access token for {name}" in line]


FORGED = {
    "no code": ("", 400, "Start it again"),
    "no state": ("?code=x", 400, "Start it again"),
    "a foreign state": ("?code=x&state=eyJzdGF0ZV9pZCI6ICJ4In0=", 400, "Start it again"),
    "a state that is a list": ("?code=x&state=W10=", 400, "Start it again"),
    "a state that is no base64": ("?code=x&state=%C3%A4", 400, "Start it again"),
    "another issuer": ("?code=x&state=x&iss=https://evil.example", 400, "another provider"),
    "the person said no": ("?error=access_denied", 403, "You stopped the sign-in"),
    "markup": ("?error=x&error_description=<img src=x onerror=alert(1)>", 400, "<img src"),
}


@pytest.mark.parametrize(("query", "code", "text"), FORGED.values(), ids=FORGED.keys())
def test_an_answer_that_no_provider_gave_is_refused(
    house: House, page: Page, query: str, code: int, text: str
) -> None:
    hub, _company = house
    answer = page.goto(hub.callback("company") + query)
    assert answer.status == code
    assert text in refusal(page)


def test_a_log_line_cannot_be_forged_by_the_providers_error(house: House, page: Page) -> None:
    hub, _company = house
    page.goto(hub.callback("company") + "?error=x&error_description=a%0D%0Aforged line")
    assert "a??forged line" in refusal(page)
    assert "\nforged line" not in hub.log()
