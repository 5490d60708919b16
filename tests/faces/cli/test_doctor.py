"""`mlhub doctor`: what it looks at, what it calls a problem, and the remedy it names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from mlhub.configuration import default_yaml
from tests.client.faulty_service import FaultyService, faulty_service
from tests.faces.cli.contract import device, flavor, inventory
from tests.faces.cli.program import Ran, mlhub

TOKEN = "0123456789abcdef0123456789abcdef"
WELL = [
    {
        "invariant": name,
        "says": f"what {name} says",
        "ok": True,
        "detail": "",
        "looked_at": "2 GPUs",
    }
    for name in ("I1", "I2", "I3", "I5", "I6", "I7", "I11", "use")
]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home as `mlhub up` leaves it, with nothing running."""
    home = tmp_path / "home"
    home.mkdir(mode=0o711)
    (home / "mlhub.yaml").write_text(default_yaml())
    (home / "mlhub.yaml").chmod(0o600)
    for name in ("secrets", "run", "logs", "hub"):
        (home / name).mkdir(mode=0o700)
    (home / "secrets" / "token").write_text(TOKEN)
    (home / "secrets" / "token").chmod(0o600)
    return home


async def examined(home: Path, *words: str) -> tuple[Ran, list[dict[str, Any]]]:
    ran = await mlhub("doctor", "--json", *words, home=home)
    document = ran.json()
    assert document["ok"] == (ran.code == 0)
    return ran, document["found"]


def bad(found: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [
        (row["about"], row["detail"], row["remedy"]) for row in found if row["level"] == "problem"
    ]


async def test_a_home_in_order_has_no_problem_and_names_what_was_looked_at(home: Path) -> None:
    ran, found = await examined(home)
    assert ran.code == 0
    assert [row["about"] for row in found] == [
        "Python", "mlhub", "JupyterHub", "settings", "files", "stack",
    ]  # fmt: skip
    assert found[-1]["level"] == "note"
    assert "nothing runs in" in found[-1]["detail"]


async def test_people_get_a_table_with_a_remedy_for_each_problem(home: Path) -> None:
    (home / "secrets").chmod(0o755)
    ran = await mlhub("doctor", home=home)
    assert ran.code == 1
    row = next(line for line in ran.out.splitlines() if "problem" in line)
    assert f"{home}/secrets is open to other OS users (755)" in row
    assert f"chmod 700 {home}/secrets" in row
    assert ran.out.splitlines()[-1] == "1 problem found."


MODES = {
    "a secret that others may read": ("secrets/token", 0o644, "chmod 600"),
    "a directory of secrets that others may enter": ("secrets", 0o711, "chmod 700"),
    "settings that others may change": ("mlhub.yaml", 0o666, "chmod 644"),
    "a home that others may change": ("", 0o777, "chmod 755"),
    "a ledger that others may read": ("ledger.sqlite", 0o644, "chmod 600"),
}


@pytest.mark.parametrize("name", MODES)
async def test_a_file_that_others_can_misuse_is_a_problem(home: Path, name: str) -> None:
    part, mode, remedy = MODES[name]
    path = home / part
    if part.endswith(".sqlite"):
        path.touch()
    path.chmod(mode)
    ran, found = await examined(home)
    assert ran.code == 1
    ((about, detail, what_to_do),) = bad(found)
    assert about == "files"
    assert detail.startswith(str(path))
    assert what_to_do == f"{remedy} {path}"


async def test_wrong_settings_are_a_problem_with_the_first_line_of_it(home: Path) -> None:
    (home / "mlhub.yaml").write_text("limts: {}\ntimes: {duration: soon}\n")
    _, found = await examined(home)
    ((about, detail, remedy),) = bad(found)
    assert about == "settings"
    assert "2 errors" in detail
    assert "mlhub.yaml:1:1: limts" in detail
    assert remedy == f"See them all with: mlhub config check {home}/mlhub.yaml"


NAMED = {
    "a ledger's address that others may read": (
        "ledger: {url_file: named}", "sqlite:////x", 0o644,
        "ledger.url_file: {file} is open to other OS users",
    ),
    "a file of simulated GPUs that is wrong": (
        "inventory: {source: simulated, simulated_file: named}", "nodes: many", 0o600, "named",
    ),
    "a provider's secret that is not there": (
        "authentication: {providers: {gh: {type: github, client_id: x, allow_all: true, "
        "client_secret: {file: /nowhere/secret}}}}", "", 0o600,
        "authentication.providers.gh.client_secret: there is no /nowhere/secret",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMED)
async def test_what_the_settings_only_name_is_looked_at_too(home: Path, name: str) -> None:
    settings, content, mode, words = NAMED[name]
    (home / "mlhub.yaml").write_text(settings)
    (home / "named").write_text(content)
    (home / "named").chmod(mode)
    ran, found = await examined(home)
    assert ran.code == 1
    ((about, detail, remedy),) = bad(found)
    assert about == "settings"
    assert words.format(file=home / "named") in detail
    assert remedy


async def with_service(home: Path, service: FaultyService) -> tuple[Ran, list[dict[str, Any]]]:
    token = str(home / "secrets" / "token")
    return await examined(home, "--url", service.url, "--token-file", token)


def readiness(*reasons: str) -> Any:
    async def answer(service: FaultyService, request: web.Request) -> web.StreamResponse:
        text = {"status": "not ready" if reasons else "ready", "reasons": list(reasons)}
        return web.json_response(text, status=503 if reasons else 200)

    return answer


async def test_a_service_in_order_is_said_part_by_part(home: Path) -> None:
    async with faulty_service(readiness()) as service:
        service.answers |= {
            ("GET", "/doctor"): (200, WELL),
            ("GET", "/inventory"): (200, inventory(flavor("a100"))),
        }
        ran, found = await with_service(home, service)
    assert ran.code == 0
    abouts = [row["about"] for row in found]
    assert abouts[6:] == [
        "service", "ledger I1", "ledger I2", "ledger I3", "ledger I5", "ledger I6", "ledger I7",
        "ledger I11", "use", "GPUs",
    ]  # fmt: skip
    assert found[7]["detail"] == "what I1 says (2 GPUs)"


async def test_broken_invariants_and_strays_come_with_their_remedies(home: Path) -> None:
    broken = {"invariant": "I1", "says": "…", "ok": False, "detail": "GPU-1 has 2 leases"}
    stray = {"invariant": "use", "says": "…", "ok": False, "detail": "process 7 of bob on GPU-1"}
    async with faulty_service(readiness()) as service:
        service.answers |= {
            ("GET", "/doctor"): (200, [broken, stray]),
            ("GET", "/inventory"): (200, inventory(flavor("a100"))),
        }
        ran, found = await with_service(home, service)
    assert ran.code == 1
    problems = bad(found)
    assert problems[0][:2] == ("ledger I1", "GPU-1 has 2 leases")
    assert "mlhub release" in problems[0][2]
    assert problems[1][:2] == ("use", "process 7 of bob on GPU-1")


async def test_simulated_gpus_are_a_note_and_troubled_ones_a_problem(home: Path) -> None:
    rows = [device("GPU-1"), device("GPU-2", index=1, trouble="fell off the bus")]
    node = {"name": "here", "schedulable": True, "trouble": "", "devices": rows}
    async with faulty_service(readiness()) as service:
        service.answers |= {
            ("GET", "/doctor"): (200, WELL),
            ("GET", "/inventory"): (200, inventory(flavor("a"), simulated=True, nodes=[node])),
        }
        _, found = await with_service(home, service)
    note = next(row for row in found if row["about"] == "GPUs" and row["level"] == "note")
    assert "2 GPUs, simulated" in note["detail"]
    assert [detail for _, detail, _ in bad(found)] == [
        "NVIDIA A100 number 1 (GPU-2): fell off the bus"
    ]


async def test_an_unready_service_says_why_and_is_asked_on(home: Path) -> None:
    async with faulty_service(readiness("the GPUs have not answered lately")) as service:
        service.answers |= {
            ("GET", "/doctor"): (200, WELL),
            ("GET", "/inventory"): (200, inventory(flavor("a"), problem="no answer for 70 s")),
        }
        _, found = await with_service(home, service)
    assert [row[:2] for row in bad(found)] == [
        ("service", "the GPUs have not answered lately"),
        ("GPUs", "no answer for 70 s"),
    ]


async def test_a_token_without_the_right_is_said_and_the_rest_is_still_looked_at(
    home: Path,
) -> None:
    async with faulty_service(readiness()) as service:
        service.answers |= {
            ("GET", "/doctor"): (403, {"detail": "Only operators may see this.", "status": 403}),
            ("GET", "/inventory"): (200, inventory(flavor("a"))),
        }
        ran, found = await with_service(home, service)
    assert ran.code == 1
    assert bad(found) == [
        ("service", "Only operators may see this.", "Name an operator's token with --token-file.")
    ]
    assert found[-1]["about"] == "GPUs"


async def test_a_service_that_is_away_is_a_problem_and_no_crash(home: Path) -> None:
    token = str(home / "secrets" / "token")
    words = ("--url", "http://127.0.0.1:1/services/quota", "--token-file", token)
    ran, found = await examined(home, *words)
    assert ran.code == 1
    ((about, detail, _),) = bad(found)
    assert about == "service"
    assert "no connection" in detail


async def test_a_sign_of_trouble_to_come_is_a_note(home: Path) -> None:
    said = "row remapping is pending; a reset mends it"
    node = {"name": "n1", "schedulable": True, "trouble": "",
            "devices": [device("GPU-1", warning=said)]}  # fmt: skip
    async with faulty_service(readiness()) as service:
        service.answers |= {
            ("GET", "/doctor"): (200, WELL),
            ("GET", "/inventory"): (200, inventory(flavor("a"), nodes=[node])),
        }
        ran, found = await with_service(home, service)
    assert ran.code == 0
    [note] = [row for row in found if said in row["detail"]]
    assert (note["level"], note["detail"]) == ("note", f"NVIDIA A100 number 0 (GPU-1): {said}")
