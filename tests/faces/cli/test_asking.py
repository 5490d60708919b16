"""`mlhub gpus`, `queue`, `leases`, `release` as processes against a real HTTP service."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.client.faulty_service import FaultyService, faulty_service, status
from tests.faces.cli.contract import device, flavor, inventory, lease, waiting
from tests.faces.cli.program import LIMIT_S, MLHUB, Ran, mlhub

TOKEN = "0123456789abcdef0123456789abcdef"
COLOUR = re.compile(r"\x1b\[")


@pytest.fixture
async def service() -> AsyncIterator[FaultyService]:
    async with faulty_service() as running:
        yield running


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    return file


async def ask(service: FaultyService, token_file: Path, *words: str, **environ: str) -> Ran:
    access = ("--url", service.url, "--token-file", str(token_file))
    return await mlhub(*words, *access, home=token_file.parent, **environ)


def cells(line: str) -> list[str]:
    return re.split(r"\s{2,}", line.strip())


async def test_gpus_shows_each_flavor_with_what_is_free_and_the_wait(
    service: FaultyService, token_file: Path
) -> None:
    soon = {"soonest": "2020-11-21T09:05:00Z", "expected": "2020-11-21T09:12:00Z",
            "latest": "2099-11-21T09:20:00Z"}  # fmt: skip
    service.answers["GET", "/inventory"] = (
        200,
        inventory(
            flavor("a100", display_name="A100 80 GB"),
            flavor("h100", free=1, now=False, waiting=2, expected=soon, kept=1, price=0),
            flavor("t4", now=False, allowed=False, why_not="You may not use T4.", out_of_service=1),
        ),
    )
    ran = await ask(service, token_file, "gpus")
    assert ran.code == 0, ran.err
    head, *rows = ran.out.splitlines()
    assert cells(head) == [
        "flavor", "name", "memory", "free", "total", "waiting", "next", "price/h", "note"
    ]  # fmt: skip
    assert cells(rows[0]) == ["a100", "A100 80 GB", "80 GiB", "1", "4", "0", "now", "1.20"]
    assert rows[1].split()[:6] == ["h100", "H100", "80", "GiB", "0", "4"]
    assert "about 12 min, likely" in rows[1], "the reader's own clock is years ahead"
    assert "1 kept for the queue" in rows[1]
    assert "never" in rows[2]
    assert "1 out of service, You may not use T4." in rows[2]
    assert "simulated" not in ran.out


async def test_gpus_says_when_they_are_simulated_and_when_the_news_is_old(
    service: FaultyService, token_file: Path
) -> None:
    stock = inventory(flavor("a100"), simulated=True, problem="the driver does not answer")
    service.answers["GET", "/inventory"] = (200, stock)
    ran = await ask(service, token_file, "gpus")
    assert "These GPUs are simulated" in ran.out
    assert "Nov 21, 2020, 09:00: the driver does not answer" in ran.out


async def test_gpus_shows_each_device_with_its_holder(
    service: FaultyService, token_file: Path
) -> None:
    holder = {"user": "ada", "server": "train", "since": "2026-11-21T09:00:00Z"}
    rows = [
        device("GPU-1", state="held", holder=holder, utilisation=93.4, memory_used_mib=40960),
        device("GPU-2", index=1, state="out-of-service", trouble="fell off the bus"),
    ]
    node = {"name": "here", "schedulable": True, "trouble": "", "devices": rows}
    service.answers["GET", "/inventory"] = (200, inventory(flavor("a100"), nodes=[node]))
    ran = await ask(service, token_file, "gpus", "--devices")
    assert ran.code == 0, ran.err
    first, second = ran.out.splitlines()[1:]
    for word in ("GPU-1", "held", "ada/train", "93 %", "40 GiB of 80 GiB"):
        assert word in first
    assert "out-of-service: fell off the bus" in second


async def test_no_gpus_and_nobody_waiting_are_said_in_words(
    service: FaultyService, token_file: Path
) -> None:
    service.answers |= {
        ("GET", "/inventory"): (200, inventory()),
        ("GET", "/queue"): (200, {"items": [], "next": None}),
        ("GET", "/leases"): (200, {"items": [], "next": None}),
    }
    said = [(await ask(service, token_file, word)).out for word in ("gpus", "queue", "leases")]
    assert said == ["There are no GPUs here.\n", "Nobody waits.\n", "No GPU is in use.\n"]


async def test_names_from_outside_are_shown_as_they_are_and_never_as_markup(
    service: FaultyService, token_file: Path
) -> None:
    name = "[red]x[/] [link=http://evil]"
    steering = f"{name}\x1b[2J\r\n"
    service.answers["GET", "/inventory"] = (200, inventory(flavor("a100", display_name=steering)))
    ran = await ask(service, token_file, "gpus")
    assert f"{name}\N{REPLACEMENT CHARACTER}[2J" in ran.out
    assert "\x1b" not in ran.out


async def test_queue_shows_places_and_names_only_as_they_are_told(
    service: FaultyService, token_file: Path
) -> None:
    rows = [
        waiting("c1", user="ada", server="train", priority=5),
        waiting("c2", position=2, mine=True, blocked="Your limit is 2 GPUs."),
        waiting("c3", position=3),
    ]
    service.answers["GET", "/queue"] = (200, {"items": rows, "next": None})
    ran = await ask(service, token_file, "queue")
    table = [cells(line) for line in ran.out.splitlines()]
    assert table[1][:4] == ["a100", "1", "ada/train", "1"]
    assert table[2][2] == "you"
    assert "Your limit is 2 GPUs." in table[2]
    assert table[3][2] == "somebody"
    assert "not known" in table[3]


async def test_leases_reads_page_after_page_up_to_the_limit(
    service: FaultyService, token_file: Path
) -> None:
    service.answers["GET", "/leases"] = (200, {"items": [lease("l1"), lease("l2")], "next": 7})
    ran = await ask(service, token_file, "leases", "--json", "--limit", "5", "--user", "ada")
    asked = [path.rsplit("/", 1)[1] for _, path in service.asked]
    assert asked == [
        "leases?state=live&limit=5&user=ada",
        "leases?state=live&limit=3&user=ada&before=7",
        "leases?state=live&limit=1&user=ada&before=7",
    ]
    assert len(ran.json()["items"]) == 6


async def test_leases_shows_live_ones_and_with_all_the_ended_too(
    service: FaultyService, token_file: Path
) -> None:
    over = lease("l2", status="ended", ended_at="2026-11-21T10:30:00Z", why="the server ended")
    service.answers["GET", "/leases"] = (200, {"items": [lease("l1"), over], "next": None})
    ran = await ask(service, token_file, "leases", "--all")
    assert [path.split("?")[1][:11] for _, path in service.asked] == ["state=live&", "state=ended"]
    assert "These GPUs are simulated" in ran.out
    rows = {cells(line)[0]: line for line in ran.out.splitlines()}
    assert "default" in rows["l1"]
    assert "the server ended" in rows["l2"]
    assert "10:30" in rows["l2"]


async def test_release_gives_the_reason_on_and_says_what_follows(
    service: FaultyService, token_file: Path
) -> None:
    service.answers["DELETE", "/leases/l1"] = (200, lease("l1", status="ending"))
    ran = await ask(service, token_file, "release", "l1", "--why", "maintenance at noon")
    assert ran.code == 0, ran.err
    assert service.bodies == [{"why": "maintenance at noon"}]
    assert ran.out == "Lease l1 of ada is ending: its server is being stopped.\n"


async def test_release_waits_for_the_end_when_it_is_told_to(
    service: FaultyService, token_file: Path
) -> None:
    service.answers |= {
        ("DELETE", "/leases/l1"): (200, lease("l1", status="ending")),
        ("GET", "/leases/l1"): (200, lease("l1", status="ended")),
    }
    ran = await ask(service, token_file, "release", "l1", "--wait")
    assert ran.out == "Lease l1 of ada has ended: its GPUs are free.\n"


JSON_KEYS = {
    "gpus": {"now", "taken_at", "simulated", "problem", "flavors", "nodes"},
    "queue": {"items"},
    "leases": {"items"},
}


@pytest.mark.parametrize("command", JSON_KEYS)
async def test_json_has_the_api_s_own_keys(
    service: FaultyService, token_file: Path, command: str
) -> None:
    service.answers |= {
        ("GET", "/inventory"): (200, inventory(flavor("a100"))),
        ("GET", "/queue"): (200, {"items": [waiting("c1")], "next": None}),
        ("GET", "/leases"): (200, {"items": [lease("l1")], "next": None}),
    }
    ran = await ask(service, token_file, command, "--json")
    found: dict[str, Any] = ran.json()
    assert set(found) == JSON_KEYS[command]
    if command == "leases":
        assert found["items"][0]["ends_at"] == "2026-11-21T17:00:00Z"
        assert found["items"][0]["devices"] == ["GPU-1"]
        assert set(lease("l1")) - {"an_attribute_of_next_year"} == set(found["items"][0])
    if command == "queue":
        assert set(found["items"][0]) == set(waiting("c1"))
    if command == "gpus":
        assert set(found["flavors"][0]) == set(flavor("a100"))


async def test_a_refusal_is_one_line_and_exit_code_four(
    service: FaultyService, token_file: Path
) -> None:
    problem = {"title": "Forbidden", "detail": "this lease is somebody else's", "status": 403}
    service.answers["DELETE", "/leases/l1"] = (403, problem)
    ran = await ask(service, token_file, "release", "l1")
    assert ran == Ran(4, "", "mlhub: This lease is somebody else's.\n")


async def test_an_unknown_token_is_said_in_words_and_never_shown(
    service: FaultyService, token_file: Path
) -> None:
    service.answers["GET", "/queue"] = (401, {"title": "Unauthorized"})
    ran = await ask(service, token_file, "queue")
    assert ran.code == 4
    assert "does not know this token" in ran.err
    assert TOKEN not in ran.err + ran.out


async def test_who_asks_too_often_is_refused_and_not_told_that_nobody_answers(
    service: FaultyService, token_file: Path
) -> None:
    problem = {"detail": "You asked for changes 60 times in a row.", "status": 429}
    service.answers["DELETE", "/leases/l1"] = (429, problem)
    ran = await ask(service, token_file, "release", "l1")
    assert ran == Ran(4, "", "mlhub: You asked for changes 60 times in a row.\n")


async def test_a_service_that_does_not_answer_is_one_line_and_exit_code_three(
    tmp_path: Path, token_file: Path
) -> None:
    words = ("--url", "http://127.0.0.1:1/services/quota", "--token-file", str(token_file))
    ran = await mlhub("queue", *words, home=tmp_path)
    assert ran.code == 3
    assert ran.err.startswith("mlhub: The GPU service at http://127.0.0.1:1/services/quota")
    assert ran.err.count("\n") == 1


async def test_without_a_running_stack_the_line_says_what_to_do(tmp_path: Path) -> None:
    ran = await mlhub("gpus", home=tmp_path)
    assert ran.code == 3
    assert ran.err == (
        f"mlhub: No mlhub runs in {tmp_path}. Start one with `mlhub up`, or name one with --url "
        "and --token-file.\n"
    )


async def test_an_address_without_a_token_is_a_mistake_of_the_call(tmp_path: Path) -> None:
    ran = await mlhub("gpus", "--url", "http://127.0.0.1:1/services/quota", home=tmp_path)
    assert ran.code == 2
    assert "There is no token for http://127.0.0.1:1/services/quota" in ran.err


async def test_a_missing_token_file_is_a_mistake_of_the_call(
    service: FaultyService, tmp_path: Path
) -> None:
    words = ("--url", service.url, "--token-file", "nowhere")
    ran = await mlhub("gpus", *words, home=tmp_path)
    assert ran.code == 2
    assert "nowhere cannot be read" in ran.err
    assert service.asked == []


async def test_the_environment_names_service_and_token(
    service: FaultyService, token_file: Path
) -> None:
    service.answers["GET", "/queue"] = (200, {"items": [], "next": None})
    environ = {"MLHUB_URL": f"{service.url}/", "MLHUB_TOKEN_FILE": str(token_file)}
    assert (await mlhub("queue", home=token_file.parent, **environ)).code == 0
    assert service.headers[0]["Authorization"] == f"Bearer {TOKEN}"


async def test_in_a_server_of_mlhub_its_own_token_is_used(
    service: FaultyService, tmp_path: Path
) -> None:
    service.answers["GET", "/leases"] = (200, {"items": [], "next": None})
    environ = {"MLHUB_API_URL": f"{service.url}/api/v1", "JUPYTERHUB_API_TOKEN": TOKEN}
    assert (await mlhub("leases", home=tmp_path, **environ)).code == 0
    assert service.headers[0]["Authorization"] == f"Bearer {TOKEN}"


async def test_a_token_is_never_sent_to_another_address_than_its_own(
    service: FaultyService, tmp_path: Path
) -> None:
    environ = {"MLHUB_API_URL": "http://hub.example.org/services/quota/api/v1",
               "JUPYTERHUB_API_TOKEN": TOKEN}  # fmt: skip
    ran = await mlhub("leases", "--url", service.url, home=tmp_path, **environ)
    assert ran.code == 2
    assert service.asked == []


@pytest.mark.parametrize(
    "words",
    [("leases", "--limit", "0"), ("release",), ("gpus", "--watch", "--json"), ("frobnicate",)],
)
async def test_words_that_make_no_sense_are_exit_code_two(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    ran = await mlhub(*words, home=tmp_path)
    assert ran.code == 2
    assert ran.err


async def test_the_service_is_asked_again_after_a_failure(
    service: FaultyService, token_file: Path
) -> None:
    service.faults.append(status(503))
    service.answers["GET", "/queue"] = (200, {"items": [], "next": None})
    assert (await ask(service, token_file, "queue")).code == 0
    assert len(service.asked) == 2


async def on_a_terminal(*words: str, home: Path, until: bytes, **environ: str) -> bytes:
    """What `mlhub` prints on a terminal, up to when it has printed `until`; then Ctrl-C."""
    ours, theirs = pty.openpty()
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "TERM": "xterm-256color"} | environ
    process = await asyncio.create_subprocess_exec(
        MLHUB, *words, env=env | {"MLHUB_HOME": str(home)}, stdout=theirs, stderr=theirs,
        stdin=theirs,
    )  # fmt: skip
    os.close(theirs)
    seen = b""
    async with asyncio.timeout(LIMIT_S):
        while until not in seen:
            seen += await asyncio.to_thread(_read, ours)
        process.send_signal(signal.SIGINT)
        rest = asyncio.create_task(asyncio.to_thread(_drain, ours))
        assert await process.wait() == 0
        seen += await rest
    os.close(ours)
    return seen


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # Linux's way to say that the other end is closed
        return b""


def _drain(terminal: int) -> bytes:
    seen = b""
    while part := _read(terminal):
        seen += part
    return seen


async def test_watch_shows_what_changes_until_ctrl_c(
    service: FaultyService, token_file: Path
) -> None:
    service.answers["GET", "/inventory"] = (200, inventory(flavor("a100", display_name="First")))

    async def first(service: FaultyService, request: web.Request) -> web.StreamResponse:
        answer = service.decide(request)
        changed = inventory(flavor("a100", display_name="Second"))
        service.answers["GET", "/inventory"] = (200, changed)
        return answer

    service.faults.append(first)
    words = ("gpus", "--watch", "--url", service.url, "--token-file", str(token_file))
    seen = await on_a_terminal(*words, home=token_file.parent, until=b"Second")
    assert b"First" in seen
    assert b"Traceback" not in seen


async def test_no_color_is_respected_on_a_terminal(
    service: FaultyService, token_file: Path
) -> None:
    service.answers["GET", "/inventory"] = (200, inventory(flavor("a100"), simulated=True))
    words = ("gpus", "--watch", "--url", service.url, "--token-file", str(token_file))
    where = {"home": token_file.parent, "until": b"now"}
    coloured = await on_a_terminal(*words, **where)
    plain = await on_a_terminal(*words, **where, NO_COLOR="1")
    assert b"\x1b[33m" in coloured
    assert b"\x1b[33m" not in plain


async def test_completion_offers_the_leases_that_can_be_released(
    service: FaultyService, token_file: Path
) -> None:
    rows = [lease("l1"), lease("l2", user="bob", server="train")]
    service.answers["GET", "/leases"] = (200, {"items": rows, "next": None})
    environ = {
        "_MLHUB_COMPLETE": "complete_bash", "COMP_WORDS": "mlhub release l", "COMP_CWORD": "2",
        "MLHUB_URL": service.url, "MLHUB_TOKEN_FILE": str(token_file),
    }  # fmt: skip
    ran = await mlhub(home=token_file.parent, **environ)
    assert ran.out.split() == ["l1", "l2"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_completion_scripts_are_printed_for_each_shell(tmp_path: Path, shell: str) -> None:
    ran = await mlhub(home=tmp_path, _MLHUB_COMPLETE=f"source_{shell}")
    assert ran.code == 0
    assert "_MLHUB_COMPLETE" in ran.out
