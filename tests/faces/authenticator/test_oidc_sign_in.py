"""Signing in with a real OpenID provider, in a real browser, to a real hub behind its proxy."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.faces.authenticator.stack import OidcProvider, SignInHub
from tests.singleuser.hub import wait_for

pytestmark = [pytest.mark.stack, pytest.mark.browser]

ML = {"groups": ["ml", "gpu-admins"]}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SignInHub, OidcProvider]]:
    hub = SignInHub(tmp_path_factory.mktemp("hub"))
    company = OidcProvider(tmp_path_factory.mktemp("company"), hub.callback("company"))
    with company.running():
        rules = {"allowed_groups": ["ml"], "admin_groups": ["gpu-admins"], "label": "ACME"}
        hub.settings = {
            "providers": {"company": company.settings(**rules)},
            "refresh_seconds": 1,
        }
        with hub.running():
            yield hub, company


def sign_in(page: Page, hub: SignInHub, id: str, provider: str = "company") -> None:
    page.goto(f"{hub.url}/hub/login")
    page.click(f"#sign-in-{provider}")
    page.fill("input[name=id]", id)
    page.click("button")


def test_a_person_signs_in_and_has_the_groups_and_rights_of_the_provider(house, page) -> None:
    hub, company = house
    company.people(id_1={"preferred_username": "alice", **ML})
    sign_in(page, hub, "id-1")
    expect(page).to_have_url(f"{hub.url}/hub/home")
    user = hub.user("alice")
    assert user["groups"] == ["gpu-admins", "ml"]
    assert user["admin"] is True
