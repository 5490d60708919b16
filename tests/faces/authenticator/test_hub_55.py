"""The same sign-in on JupyterHub 5.5: page, provider, groups, refresh, refusals."""

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.faces.authenticator.stack import OidcProvider, SignInHub
from tests.hub_55 import hub_55_python
from tests.singleuser.hub import wait_for

pytestmark = [pytest.mark.stack, pytest.mark.browser]

House = tuple[SignInHub, OidcProvider]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    hub = SignInHub(tmp_path_factory.mktemp("hub"), python=hub_55_python())
    company = OidcProvider(tmp_path_factory.mktemp("company"), hub.callback("company"))
    with company.running():
        rules = {"allowed_groups": ["ml", "guests"], "admin_groups": ["gpu-admins"]}
        providers = {"company": company.settings(**rules)}
        hub.settings = {"providers": providers, "refresh_seconds": 1}
        with hub.running():
            yield hub, company


def sign_in(page: Page, hub: SignInHub, stable_id: str) -> None:
    page.goto(f"{hub.url}/hub/login")
    page.click("#sign-in-company")
    page.fill("input[name=id]", stable_id)
    page.click("button")


def test_the_hub_is_the_older_one(house: House) -> None:
    hub, _company = house
    assert hub.api("GET", "").json()["version"].startswith("5.5")


def test_groups_come_and_go_with_the_provider(house: House, page: Page) -> None:
    hub, company = house
    company.people(id_1={"preferred_username": "alice", "groups": ["ml", "gpu-admins"]})
    sign_in(page, hub, "id-1")
    expect(page).to_have_url(f"{hub.url}/hub/home")
    assert sorted(hub.user("alice")["groups"]) == ["gpu-admins", "ml"]
    assert hub.user("alice")["admin"] is True

    company.people(id_1={"preferred_username": "alice", "groups": ["ml"]})
    wait_for("the refresh", lambda: page.reload() and hub.user("alice")["groups"] == ["ml"])
    assert hub.user("alice")["admin"] is False


def test_who_may_not_stay_is_sent_to_the_page_and_reads_why(house: House, page: Page) -> None:
    hub, company = house
    company.people(id_2={"preferred_username": "bob", "groups": ["ml"]})
    sign_in(page, hub, "id-2")
    expect(page).to_have_url(f"{hub.url}/hub/home")
    token = hub.api("POST", "users/bob/tokens", json={}).json()["token"]
    ask = {"url": f"{hub.url}/hub/api/user", "headers": {"Authorization": f"token {token}"}}

    company.people(id_2={"preferred_username": "bob", "groups": []})
    wait_for("the end of the token", lambda: httpx.get(**ask).status_code == 403)
    sign_in_again = wait_for("the page", lambda: page.reload() and "/login" in page.url)
    page.click("#sign-in-company")
    assert sign_in_again
    assert "none of your groups" in page.locator("#sign-in-refusal").inner_text()


def test_a_recycled_login_is_refused(house: House, page: Page) -> None:
    hub, company = house
    company.people(id_3={"preferred_username": "carl", "groups": ["ml"]})
    sign_in(page, hub, "id-3")
    expect(page).to_have_url(f"{hub.url}/hub/home")
    page.context.clear_cookies()
    company.people(id_4={"preferred_username": "carl", "groups": ["ml"]})
    sign_in(page, hub, "id-4")
    assert "belongs to another account" in page.locator("#sign-in-refusal").inner_text()


def test_the_local_password_works(tmp_path_factory: pytest.TempPathFactory, page: Page) -> None:
    directory = tmp_path_factory.mktemp("local")
    hub = SignInHub(directory, python=hub_55_python(), person="alice")
    with hub.running():
        for name, word in {"bob": "only 'alice' can sign in", "alice": "not the password"}.items():
            page.goto(f"{hub.url}/hub/login")
            page.fill("#username_input", name)
            page.fill("#password_input", "wrong")
            page.click("#login_submit")
            assert word in page.locator("#sign-in-refusal").inner_text()
        page.fill("#password_input", (directory / "sign-in-password").read_text().strip())
        page.click("#login_submit")
        expect(page).to_have_url(f"{hub.url}/hub/home")
