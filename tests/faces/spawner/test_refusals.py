"""Spawns that are refused, on either version: text, link and status; and a hub that lives on."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.faces.spawner.hubs import SpawnHub, running_hub
from tests.faces.spawner.small_service import SmallService
from tests.people import Person
from tests.waiting import wait_until

pytestmark = [pytest.mark.stack, pytest.mark.root]

FULL = {"profile": "python", "gpu": "t4"}
FORM = {"profile": "python", "profile-option-python--gpu": "t4"}


def fill(service: SmallService) -> None:
    for flavor in service.flavors:
        service.grant({"user": "eve", "server": "", "flavor": flavor.name, "count": 1}, flavor)
    a100 = service.flavors[0]
    service.grant({"user": "eve", "server": "x", "flavor": "a100", "count": 1}, a100)


def test_a_full_flavor_is_refused_with_what_is_in_use(
    hub: SpawnHub, service: SmallService, ada: Person
) -> None:
    fill(service)
    answer = hub.spawn(ada.name, FULL)
    assert answer.status_code == 503
    assert answer.json()["message"] == (
        "All 1 T4 are in use; you would be 1st in the queue. Nothing was started."
    )
    assert answer.headers["Retry-After"] == "60"
    assert hub.server(ada.name).get("ready") in (None, False)


def test_a_rest_spawn_that_waits_names_the_place_and_the_link(
    hub: SpawnHub, service: SmallService, ada: Person
) -> None:
    fill(service)
    answer = hub.spawn(ada.name, FULL | {"wait": True})
    assert answer.status_code == 503
    message = answer.json()["message"]
    assert "You are 1st in the queue for T4, about 25 min." in message
    assert "/services/quota/waiting/waits-" in message


def test_the_form_leads_who_waits_to_their_place_without_any_script(
    hub: SpawnHub, service: SmallService, ada: Person
) -> None:
    fill(service)
    session = hub.sign_in(ada.name)
    answer = hub.post_form(session, FORM | {"wait": "1"})
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/services/quota/waiting/waits-")
    page = session.get(hub.url + answer.headers["Location"], timeout=30)
    assert "Waiting for waits-" in page.text


def test_a_slow_answer_is_led_to_the_place_by_the_page_of_the_failed_start(
    hub: SpawnHub, service: SmallService, ada: Person
) -> None:
    fill(service)
    service.faults.append(("POST", "/claims", "hang"))
    session = hub.sign_in(ada.name)
    answer = hub.post_form(session, FORM | {"wait": "1"})
    assert answer.status_code == 302, answer.text
    assert "/hub/spawn-pending/" in answer.headers["Location"]

    def led_on() -> bool:
        page = session.get(hub.url + answer.headers["Location"], timeout=30).text
        return 'content="2; url=/services/quota/waiting/waits-' in page

    wait_until(led_on, within_s=20, what="the page that leads to the place")


@pytest.mark.parametrize("server", ["", "train"])
def test_a_refused_form_says_why_and_keeps_what_was_chosen(
    hub: SpawnHub, service: SmallService, ada: Person, server: str
) -> None:
    fill(service)
    session = hub.sign_in(ada.name)
    session.get(f"{hub.url}/hub/spawn/{ada.name}/{server}".rstrip("/")).raise_for_status()
    answer = hub.post_form(session, FORM | {"wait": "0"}, server, ada.name)
    assert answer.status_code == 503
    assert "All 1 T4 are in use" in answer.text
    assert is_checked(answer.text, "profile-option-python--gpu", "t4")


def is_checked(page: str, field: str, value: str) -> bool:
    inputs = re.findall(r"<input[^>]*>", page)
    (found,) = [row for row in inputs if f'name="{field}"' in row and f'value="{value}"' in row]
    return "checked" in found


def test_words_that_do_not_match_stay_in_their_field(hub: SpawnHub, ada: Person) -> None:
    session = hub.sign_in(ada.name)
    field = "profile-option-own--image"
    form = {
        "profile": "own", field: "unlisted-choice", f"{field}--unlisted-choice": '<b>"No Such"',
        "profile-option-own--size": "large",
    }  # fmt: skip
    session.get(f"{hub.url}/hub/spawn", timeout=30).raise_for_status()
    answer = hub.post_form(session, form)
    assert answer.status_code == 400
    assert "name:tag" in answer.text
    assert 'value="&lt;b&gt;&#34;No Such&#34;"' in answer.text
    assert is_checked(answer.text, field, "unlisted-choice")
    assert is_checked(answer.text, "profile-option-own--size", "large")


def test_what_users_write_is_escaped_in_the_form(hub: SpawnHub, ada: Person) -> None:
    session = hub.sign_in(ada.name)
    answer = hub.post_form(session, {"profile": "<script>alert(1)</script>"})
    assert answer.status_code == 400
    assert "<script>alert(1)" not in answer.text
    assert "&lt;script&gt;alert(1)" in answer.text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param({"profile": "nope"}, "no profile 'nope'", id="unknown profile"),
        pytest.param({"profile": ["python"]}, "no profile a list", id="a list for a profile"),
        pytest.param({"gpu": "b200"}, "'b200' is no choice", id="unknown flavor"),
        pytest.param({"gpu": "a100", "count": "0"}, "'0' is no choice", id="count 0"),
        pytest.param({"gpu": "a100", "count": -1}, "-1 is no choice", id="count -1"),
        pytest.param({"gpu": "a100", "count": 1e9}, "is no choice", id="count 1e9"),
        pytest.param({"gpu": "a100", "count": "two"}, "'two' is no choice", id="count two"),
        pytest.param({"gpu": "a100", "count": [1]}, "a list is no choice", id="count [1]"),
        pytest.param({"gpu": "../../etc/passwd"}, "is no choice", id="dots and slashes"),
        pytest.param({"gpu": "a100\r\nSet-Cookie: x"}, "is no choice", id="CR and LF"),
        pytest.param({"gpu": "\u202e\U0001f4a5"}, "is no choice", id="Unicode"),
        pytest.param({"surprise": 1}, "no such option", id="unknown option"),
        pytest.param({"gpu": "x" * 1_000_000}, "1000000 characters", id="1 MB of text"),
        pytest.param({"duration": "soon"}, "is not a duration", id="no duration"),
        pytest.param({"wait": "maybe"}, "neither true nor false", id="no yes or no"),
    ],
)
def test_bad_options_are_refused_in_words_and_change_nothing(
    hub: SpawnHub, service: SmallService, ada: Person, options: dict[str, Any], words: str
) -> None:
    answer = hub.spawn(ada.name, options)
    assert answer.status_code == 400
    message = answer.json()["message"]
    assert words in message
    assert "Nothing was started." in message
    assert len(message) < 700
    assert service.calls("POST", "/claims") == []
    assert hub.server(ada.name).get("user_options", {}) == {}


@pytest.mark.parametrize("body", ["[]x", '"text"', "[1, 2]", "7", '{"user_options": [1]}'])
def test_a_body_that_is_no_object_is_a_clear_4xx(hub: SpawnHub, ada: Person, body: str) -> None:
    answer = hub.api("POST", f"users/{ada.name}/server", data=body)
    assert answer.status_code == 400
    assert answer.json()["message"]


def test_a_service_that_is_away_refuses_quickly_and_cpu_servers_start(
    hub: SpawnHub, service: SmallService, ada: Person
) -> None:
    service.do(service.close())
    try:
        answer = hub.spawn(ada.name, {"gpu": "a100"})
        assert answer.status_code == 503
        assert "The GPU service does not answer; nothing was started." in answer.json()["message"]
        assert answer.elapsed.total_seconds() < 12
        assert hub.spawn(ada.name, {"profile": "python"}).status_code == 201
        page = hub.sign_in(ada.name).get(f"{hub.url}/hub/spawn/{ada.name}/more", timeout=30)
        assert "Which GPUs are free is not known" in page.text
    finally:
        service.do(service.listen())
    hub.stop_server(ada.name)
    assert hub.spawn(ada.name, {"gpu": "a100"}).status_code == 201


def test_who_asks_too_often_is_told_so_and_the_key_of_the_ask_is_kept(
    hub: SpawnHub, service: SmallService, ada: Person
) -> None:
    service.faults += [("POST", "/claims", "lose"), ("POST", "/claims", "refuse")]
    answer = hub.spawn(ada.name, {"gpu": "a100"})
    assert answer.status_code == 429
    text = "You asked for changes 60 times in a row. No server was started."
    assert answer.json()["message"] == text
    assert answer.headers["Retry-After"] == "60"
    assert hub.spawn(ada.name, {"gpu": "a100"}).status_code == 201
    assert len(set(service.keys)) == 1
    assert len(service.leases) == 1


def test_a_stop_succeeds_while_the_service_is_away(
    hub: SpawnHub, service: SmallService, ada: Person
) -> None:
    assert hub.spawn(ada.name, {"gpu": "a100"}).status_code == 201
    hub.wait_ready(ada.name)
    service.do(service.close())
    try:
        hub.stop_server(ada.name)
    finally:
        service.do(service.listen())


def test_ten_refusals_in_a_row_do_not_stop_the_hub(
    hub: SpawnHub, service: SmallService, ada: Person
) -> None:
    """Its limit of consecutive failures is five."""
    fill(service)
    for number in range(12):
        options = FULL if number % 2 else {"profile": "nope"}
        assert hub.spawn(ada.name, options).status_code in (400, 503)
    assert hub.spawn(ada.name, {"profile": "python"}).status_code == 201
    hub.wait_ready(ada.name)
    assert hub.process is not None
    assert hub.process.poll() is None
    assert "consecutive spawn" not in hub.log()


def test_two_clicks_at_once_start_one_server(
    hub: SpawnHub, service: SmallService, ada: Person
) -> None:
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: hub.spawn(ada.name, {"gpu": "a100"}), range(2)))
    codes = sorted(answer.status_code for answer in answers)
    assert codes[0] in (201, 202)
    assert codes[1] in (201, 202, 400)
    hub.wait_ready(ada.name)
    assert len(service.leases) == 1


def test_a_profile_list_that_is_set_up_wrongly_says_so_where_the_form_would_be(
    open_directory: Path, service: SmallService, ada: Person
) -> None:
    config = {"LocalGPUSpawner": {"profile_list": [{"slug": "<b>nameless</b>"}]}}
    hub = SpawnHub(open_directory / "wrong-profiles", service, config=config)
    with running_hub(hub):
        page = hub.sign_in(ada.name).get(f"{hub.url}/hub/spawn", timeout=30)
        assert page.status_code == 200
        assert "profiles[0].display_name: a profile needs a name" in page.text
        answer = hub.spawn(ada.name, {})
        assert (answer.status_code, "a profile needs a name" in answer.text) == (400, True)
