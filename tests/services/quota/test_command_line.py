"""`mlhub gpus`, `queue`, `leases`, `release`, `doctor` as processes against the service itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.faces.cli.program import Ran, mlhub
from tests.services.quota.desk import Desk

Ask = Callable[..., Awaitable[Ran]]


@pytest.fixture
def ask(desk: Desk, tmp_path: Path) -> Ask:
    """Runs `mlhub` as one of those who have a token."""

    async def run(who: str, *words: str) -> Ran:
        file = tmp_path / "token"
        file.write_text(desk.tokens[who])
        return await mlhub(*words, "--url", desk.url, "--token-file", str(file), home=tmp_path)

    return run


async def test_gpus_tells_what_is_left_after_a_lease(desk: Desk, ask: Ask) -> None:
    await desk.lease("ada", count=3)
    ran = await ask("bob", "gpus", "--json")
    assert ran.code == 0, ran.err
    (flavor,) = ran.json()["flavors"]
    assert (flavor["name"], flavor["free"], flavor["total"]) == ("a100", 1, 4)
    shown = await ask("bob", "gpus")
    assert "a100" in shown.out
    assert "ada" not in (await ask("bob", "gpus", "--devices")).out
    assert "ada" in (await ask("the operator", "gpus", "--devices")).out


async def test_queue_shows_names_to_an_operator_and_oneself_only(desk: Desk, ask: Ask) -> None:
    await desk.lease("ada", count=4)
    await desk.claim("ada", server="second", wait=True)
    await desk.claim("bob", wait=True)
    mine = (await ask("bob", "queue", "--json")).json()["items"]
    assert [(row["user"], row["mine"], row["position"]) for row in mine] == [
        (None, False, 1),
        ("bob", True, 2),
    ]
    everybody = await ask("the operator", "queue")
    assert "ada/second" in everybody.out
    assert "bob" in everybody.out


async def test_an_operator_releases_a_lease_with_a_reason_that_its_holder_is_told(
    desk: Desk, ask: Ask
) -> None:
    lease = await desk.lease("ada")
    ran = await ask("the operator", "release", lease["id"], "--why", "maintenance at noon")
    assert ran.code == 0, ran.err
    assert f"Lease {lease['id']} of ada" in ran.out
    await desk.world.tick()
    over = (await ask("ada", "leases", "--ended", "--json")).json()["items"]
    live = (await ask("ada", "leases", "--json")).json()["items"]
    assert [row["why"] for row in over + live] == ["maintenance at noon"]


async def test_an_operator_without_a_reason_is_asked_for_one(desk: Desk, ask: Ask) -> None:
    lease = await desk.lease("ada")
    ran = await ask("the operator", "release", lease["id"])
    assert ran.code == 4
    assert ran.err.count("\n") == 1
    assert "say why you end it: ada is told" in ran.err


async def test_somebody_else_s_lease_is_refused_and_stays(desk: Desk, ask: Ask) -> None:
    lease = await desk.lease("ada")
    ran = await ask("bob", "release", lease["id"])
    assert ran.code == 4
    assert ran.err.count("\n") == 1
    items = (await ask("ada", "leases", "--json")).json()["items"]
    assert [(row["id"], row["target"]) for row in items] == [(lease["id"], "active")]


async def test_leases_are_one_s_own_and_everybody_s_to_an_operator(desk: Desk, ask: Ask) -> None:
    for user in ("ada", "bob"):
        await desk.lease(user)

    async def seen_by(who: str) -> set[str]:
        return {row["user"] for row in (await ask(who, "leases", "--json")).json()["items"]}

    assert await seen_by("bob") == {"bob"}
    assert await seen_by("the operator") == {"ada", "bob"}


async def test_doctor_asks_for_the_invariants_and_only_an_operator_gets_them(
    desk: Desk, ask: Ask
) -> None:
    rows = (await ask("the operator", "doctor", "--json")).json()["found"]
    ledger = {row["about"]: row["level"] for row in rows if row["about"].startswith("ledger")}
    assert {"ledger I1", "ledger I2", "ledger I3", "ledger I5", "ledger I6"} <= set(ledger)
    assert ledger["ledger I1"] == "ok"
    rows = (await ask("bob", "doctor", "--json")).json()["found"]
    assert not any(row["about"].startswith("ledger") for row in rows)
    assert any(row["level"] == "problem" and row["about"] == "service" for row in rows)


async def test_an_unknown_token_is_one_line_and_exit_code_four(desk: Desk, ask: Ask) -> None:
    ran = await ask("invalid", "leases")
    assert ran.code == 4
    assert "does not know this token" in ran.err
