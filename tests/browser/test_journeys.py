"""The journeys of the people: sign in, pick, work, wait, be warned, give back, operate."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import pytest
import requests
from playwright.sync_api import expect

from tests.browser.conftest import A100, START_MS, T4, serious

pytestmark = [pytest.mark.browser, pytest.mark.stack, pytest.mark.root]


def test_a_newcomer_signs_in_and_is_told_that_the_gpus_are_simulated(lab, ada, visit, picture):
    page = visit(ada).open("hub/spawn")
    expect(page.get_by_text("Simulated GPUs.").first).to_be_visible()
    expect(page.locator("body")).to_contain_text("2 of 2 free")
    picture(page, "picker")
    assert serious(page) == []


def test_the_picker_keeps_what_was_picked_while_the_house_fills_up(lab, ada, bob, visit, picture):
    waiting = visit(bob)
    page = waiting.pick(A100, 2)
    expect(page.locator(".mlhub-start")).to_have_text("Start")
    visit(ada).start(A100, 2)
    expect(page.locator(".mlhub-start")).to_contain_text("Join the queue: 1st", timeout=15_000)
    expect(page.locator(f"input[type=radio][value='{A100}']")).to_be_checked()
    expect(page.locator(".mlhub-count input[value='2']")).to_be_checked()
    picture(page, "picker-full")
    assert serious(page) == []


def test_the_picker_is_used_by_keyboard_and_on_a_phone(lab, ada, visit, picture):
    visitor = visit(ada, width=360, height=740, is_mobile=True, has_touch=True)
    page = visitor.open("hub/spawn")
    page.locator(".mlhub-gpu input[type=radio]").first.focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator(f"input[type=radio][value='{A100}']")).to_be_checked()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    picture(page, "picker-phone", full=False)
    assert serious(page) == []


def test_a_server_has_exactly_the_devices_of_its_lease(lab, ada, bob, visit):
    mine, theirs = visit(ada), visit(bob)
    mine.start(A100)
    theirs.start(T4)
    lease, other = lab.wait_for_lease(ada), lab.wait_for_lease(bob)
    assert lease["status"] == other["status"] == "active"
    assert not set(lease["devices"]) & set(other["devices"])
    for person, row in ((ada, lease), (bob, other)):
        processes = lab.processes_of(row)
        assert processes
        for process in processes:
            words = process.environ()
            assert words["CUDA_VISIBLE_DEVICES"] == ",".join(row["devices"])
            assert words["NVIDIA_VISIBLE_DEVICES"] == ",".join(row["devices"])
            assert words["MLHUB_SIMULATED"] == "1"
            assert process.username() == person.name


def test_a_server_without_gpu_sees_none_and_asks_for_none(lab, ada, visit):
    page = visit(ada).open("hub/spawn")
    page.locator(".mlhub-gpu input[type=radio]").first.check(force=True)  # the last choice stays
    page.locator(".mlhub-start").click()
    page.wait_for_selector(".jp-Launcher", timeout=START_MS)
    assert lab.get("leases")["items"] == []
    for tile in ("VS Code", "TensorBoard", "MLflow", "Terminal"):
        expect(page.locator(".jp-LauncherCard", has_text=tile).first).to_be_visible()


def test_the_second_waits_sees_the_place_and_gets_the_gpu_by_itself(lab, ada, bob, visit, picture):
    first, second = visit(ada), visit(bob)
    first.start(A100, 2)
    page = second.pick(A100)
    second.press_start()
    page.wait_for_url("**/services/quota/waiting/**", timeout=START_MS)
    expect(page.locator(".large")).to_have_text("1st")
    expect(page).to_have_title(re.compile("1st in the queue"))
    expect(page.locator("body")).to_contain_text("about 8 h")
    picture(page, "waiting")
    assert serious(page) == []
    first.open("services/quota/")
    first.page.on("dialog", lambda dialog: dialog.accept())
    first.page.get_by_role("button", name="Stop and give back").click()
    second.wait_for_lab()
    lease = lab.wait_for_lease(bob, status="active")
    assert lease["from_queue"]
    assert lab.lease_of(ada) is None
    # Opening it closes the claim window: it is not given to the next one any more.
    used = lab.wait_for_lease(bob, window_closes_at=None)
    lab.pass_time(11 * 60)
    assert lab.wait_for_lease(bob, status="active")["id"] == used["id"]


def test_leaving_the_queue_is_one_click(lab, ada, bob, visit):
    visit(ada).start(A100, 2)
    second = visit(bob)
    page = second.pick(A100)
    second.press_start()
    page.wait_for_url("**/services/quota/waiting/**", timeout=START_MS)
    page.get_by_role("button", name="Leave the queue").click()
    expect(page.get_by_role("heading", name="You left the queue")).to_be_visible()
    assert lab.get("queue")["items"] == []


def test_a_server_that_nobody_opens_passes_to_the_next(lab, ada, bob, boss, visit):
    first = visit(ada)
    first.start(A100, 2)
    pages = []
    for person in (bob, boss):
        visitor = visit(person)
        visitor.pick(A100, 2)
        visitor.press_start()
        visitor.page.wait_for_url("**/services/quota/waiting/**", timeout=START_MS)
        visitor.page.close()
        pages.append(visitor)
    first.open("services/quota/")
    first.page.on("dialog", lambda dialog: dialog.accept())
    first.page.get_by_role("button", name="Stop and give back").click()
    lease = lab.wait_for_lease(bob, within_s=60, status="active")
    assert lease["window_closes_at"]
    lab.pass_time(10 * 60 + 5)
    assert lab.wait_for_lease(boss, within_s=60, status="active")
    [ended] = lab.get(f"leases?state=ended&user={bob.name}&limit=1")["items"]
    assert ended["reason"] == "unused"


def test_at_its_end_a_lease_is_warned_and_ends_only_because_someone_waits(
    lab, ada, bob, visit, picture
):
    first = visit(ada)
    first.start(A100, 2)
    lab.pass_time(9 * 3600)
    assert lab.wait_for_lease(ada, status="active")
    second = visit(bob)
    second.pick(A100)
    second.press_start()
    page = first.open("services/quota/")
    expect(page.locator("body")).to_contain_text(
        "Someone is waiting: this server stops", timeout=15_000
    )
    picture(page, "my-gpus-warned")
    assert serious(page) == []
    lab.pass_time(30 * 60 + 5)
    second.wait_for_lab()
    expect(page.locator("body")).to_contain_text(
        "its time was over and someone was waiting", timeout=15_000
    )


def test_stopping_by_the_hub_and_a_crash_both_end_the_lease_within_seconds(lab, ada, visit):
    visitor = visit(ada)
    visitor.start(A100)
    token = {"Authorization": f"token {lab.stack.token('quota')}"}
    answer = requests.delete(f"{lab.url}hub/api/users/{ada.name}/server", headers=token, timeout=60)
    assert answer.status_code in {202, 204}
    lab.wait_until_free(ada, within_s=15)
    visitor.start(T4)
    for process in lab.processes_of(lab.wait_for_lease(ada, status="active")):
        process.kill()
    lab.wait_until_free(ada, within_s=10)


def test_an_admin_sees_who_holds_what_and_the_user_reads_the_reason_of_a_release(
    lab, ada, boss, visit, picture
):
    visit(ada).start(A100)
    chief = visit(boss)
    page = chief.open("services/quota/who")
    expect(page.locator(".device.held")).to_contain_text(f"{ada.name} since")
    expect(page.locator(".device.held time")).to_have_text(re.compile("just now|min ago"))
    picture(page, "who-holds-what")
    assert serious(page) == []
    page = chief.open("services/quota/admin")
    picture(page, "operate")
    assert serious(page) == []
    page.on("dialog", lambda dialog: dialog.accept())
    row = page.locator("tr", has_text=ada.name).first
    row.get_by_placeholder("why").fill("maintenance at noon")
    row.get_by_role("button", name="Release").click()
    lab.wait_until_free(ada)
    mine = visit(ada).open("services/quota/")
    expect(mine.locator("body")).to_contain_text("Your GPUs were taken back: maintenance at noon")


def test_others_neither_see_names_nor_the_operators_page(lab, ada, bob, visit):
    visit(ada).start(A100)
    stranger = visit(bob)
    page = stranger.open("services/quota/who")
    expect(page.locator(".device.held")).to_be_visible()
    expect(page.locator("body")).not_to_contain_text(ada.name)
    page = stranger.open("services/quota/admin")
    expect(page.locator("body")).to_contain_text("This page is for operators.")


def wait_for(lab, first, second):
    """The first holds both A100; the second waits for one of them."""
    first.start(A100, 2)
    page = second.pick(A100)
    second.press_start()
    page.wait_for_url("**/services/quota/waiting/**", timeout=START_MS)
    return page


def test_who_waits_starts_with_a_free_gpu_by_one_click_with_the_same_duration(lab, ada, bob, visit):
    first, second = visit(ada), visit(bob)
    first.start(A100, 2)
    page = second.pick(A100)
    page.select_option("[name=duration]", "2h")
    second.press_start()
    page.wait_for_url("**/services/quota/waiting/**", timeout=START_MS)
    page.get_by_role("button", name="Start with Tesla T4").click()
    second.wait_for_lab()
    lease = lab.wait_for_lease(bob, status="active")
    assert lease["flavor"] == T4
    lasts = datetime.fromisoformat(lease["ends_at"]) - datetime.fromisoformat(lease["granted_at"])
    assert lasts == timedelta(hours=2)
    assert lab.get("queue")["items"] == []


def test_who_waits_works_on_cpu_meanwhile_and_is_asked_before_the_switch(
    lab, ada, bob, visit, picture
):
    first, second = visit(ada), visit(bob)
    page = wait_for(lab, first, second)
    waiting = page.url
    page.get_by_role("button", name="Start on CPU").click()
    second.wait_for_lab()
    assert [row["position"] for row in lab.get("queue")["items"]] == [1]
    page.goto(waiting)
    page.get_by_role("button", name="Start with Tesla T4").click()
    expect(page.locator("#offer")).to_contain_text("already runs")
    assert lab.lease_of(bob) is None
    first.open("services/quota/")
    first.page.on("dialog", lambda dialog: dialog.accept())
    first.page.get_by_role("button", name="Stop and give back").click()
    switch = page.get_by_role("button", name="Stop it and start with the GPU")
    expect(switch).to_be_visible(timeout=30_000)
    assert lab.wait_for_lease(bob)["status"] == "held"
    picture(page, "switch-offer")
    assert serious(page) == []
    page.on("dialog", lambda dialog: dialog.accept())
    switch.click()
    second.wait_for_lab()
    lease = lab.wait_for_lease(bob, status="active")
    assert lease["flavor"] == A100
    assert lease["from_queue"]


def test_the_use_of_the_last_hour_is_drawn_and_said(lab, ada, visit, picture):
    visitor = visit(ada)
    visitor.start(A100)
    page = visitor.open("services/quota/")
    bars = page.locator(".spark rect")
    for _minute in range(3):
        drawn = bars.count()
        lab.pass_time(61)
        expect(bars).not_to_have_count(drawn, timeout=25_000)
    spark = page.locator(".spark").first
    expect(spark).to_have_attribute("aria-label", re.compile(r"Use in the last \d+ min \d+ % on"))
    expect(page.locator(".lease")).to_contain_text("Waiting for this kind")
    picture(page, "my-gpus")
