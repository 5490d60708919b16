"""People of the machine sign in on the page of a hub that runs as root."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.faces.authenticator.stack import SignInHub
from tests.people import os_user

pytestmark = [pytest.mark.stack, pytest.mark.browser, pytest.mark.root]


def test_people_of_the_machine_sign_in_with_their_password(tmp_path: Path, page: Page) -> None:
    with os_user() as person:
        settings = {"pam": {"allowed_users": [person.name]}}
        hub = SignInHub(tmp_path, settings=settings, as_root=True)
        with hub.running():
            page.goto(f"{hub.url}/hub/login")
            page.fill("#username_input", "root")
            page.fill("#password_input", "x")
            page.click("#login_submit")
            expect(page.locator("#sign-in-refusal")).to_have_text("Name or password is wrong.")
            page.fill("#username_input", person.name)
            page.fill("#password_input", person.password)
            page.click("#login_submit")
            expect(page).to_have_url(f"{hub.url}/hub/home")
            assert person.name in hub.user(person.name)["groups"]
            assert person.password not in hub.log()
