"""Bad input: each a clear answer below 500, one line of audit, and nothing changed."""

import asyncio
import json

import pytest

from tests.services.quota.desk import Desk

CLAIMS = {
    "no flavor": ({}, "flavor"),
    "an empty flavor": ({"flavor": ""}, "flavor"),
    "a flavor with a line break": ({"flavor": "a100\r\nX: y"}, "flavor"),
    "a flavor of 1 MB": ({"flavor": "a" * 60_000}, "flavor"),
    "a count of 0": ({"flavor": "a100", "count": 0}, "count"),
    "a count of -1": ({"flavor": "a100", "count": -1}, "count"),
    "a count of 1e9": ({"flavor": "a100", "count": 1e9}, "count"),
    "a count of a billion": ({"flavor": "a100", "count": 10**9}, "count"),
    "a count beyond all integers": ({"flavor": "a100", "count": 10**400}, "count"),
    "a count in words": ({"flavor": "a100", "count": "two"}, "count"),
    "a count as text": ({"flavor": "a100", "count": "2"}, "count"),
    "a list of counts": ({"flavor": "a100", "count": [1]}, "count"),
    "a half GPU": ({"flavor": "a100", "count": 0.5}, "count"),
    "a true count": ({"flavor": "a100", "count": True}, "count"),
    "an unknown member": ({"flavor": "a100", "gpus": 2}, "gpus"),
    "an unknown kind": ({"flavor": "a100", "kind": "job"}, "kind"),
    "a wish as text": ({"flavor": "a100", "wait": "yes"}, "wait"),
    "a server with a slash": ({"flavor": "a100", "server": "a/b"}, "server"),
    "a server that is dots": ({"flavor": "a100", "server": ".."}, "server"),
    "a server with a line break": ({"flavor": "a100", "server": "a\nb"}, "server"),
    "a server with a null": ({"flavor": "a100", "server": "a\x00b"}, "server"),
    "a duration in words": ({"flavor": "a100", "duration": "long"}, "duration"),
    "a duration of nothing": ({"flavor": "a100", "duration": 0}, "duration"),
    "a negative duration": ({"flavor": "a100", "duration": -5}, "duration"),
    "a duration of ages": ({"flavor": "a100", "duration": 1e300}, "duration"),
    "options that are no object": ({"flavor": "a100", "user_options": [1]}, "user_options"),
    "a list": ([1, 2], "body"),
    "a number": (5, "body"),
    "null": (None, "body"),
}


@pytest.mark.parametrize("case", CLAIMS)
async def test_a_bad_claim_names_its_field_and_changes_nothing(desk: Desk, case: str):
    body, field = CLAIMS[case]
    headers = {"Idempotency-Key": desk.key(), "Content-Type": "application/json"}
    data = json.dumps(body)
    answer = await desk.ask("POST", "claims", who="ada", headers=headers, data=data)
    assert answer.status == 422, answer.body
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.body["field"].split(".")[0] == field
    assert answer.body["problem"]
    assert await changes_and_audit(desk) == (0, ["refused"])


async def changes_and_audit(desk: Desk) -> tuple[int, list[str]]:
    ledger = await desk.world.ledger()
    return len(ledger.claims) + len(ledger.leases), [row["action"] for row in await desk.audit()]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"{", id="half an object"),
        pytest.param(b"\xff\xfe", id="no text"),
        pytest.param(b'{"flavor": "\\ud800"}', id="half a character"),
        pytest.param(b'{"flavor": "a100", "user_options": {"x": NaN}}', id="not a number"),
        pytest.param(b'{"flavor": "a100", "user_options": {"x": 1e999}}', id="endless"),
        pytest.param(b'{"flavor": "a100", "user_options": ' + b"[" * 9000, id="deeply nested"),
    ],
)
async def test_what_is_no_json_is_refused(desk: Desk, data: bytes):
    headers = {"Idempotency-Key": desk.key(), "Content-Type": "application/json"}
    answer = await desk.ask("POST", "claims", who="ada", headers=headers, data=data)
    assert answer.status == 422
    assert await changes_and_audit(desk) == (0, ["refused"])


@pytest.mark.parametrize(
    "key", ["", "short", "x" * 129, "a\tb-tabulated", "schlüssel-mit-umlaut"],
    ids=["none", "too short", "too long", "with a tab", "beyond ASCII"],
)  # fmt: skip
async def test_a_claim_needs_a_good_idempotency_key(desk: Desk, key: str):
    headers = {"Idempotency-Key": key} if key else {}
    answer = await desk.ask("POST", "claims", who="ada", headers=headers, json={"flavor": "a100"})
    assert (answer.status, answer.body["field"]) == (422, "Idempotency-Key")
    assert answer.body["remedy"]


async def test_a_megabyte_of_text_is_too_large(desk: Desk):
    body = {"flavor": "a" * 1_000_000}
    headers = {"Idempotency-Key": desk.key()}
    answer = await desk.ask("POST", "claims", who="ada", headers=headers, json=body)
    assert (answer.status, answer.body["type"]) == (413, "urn:mlhub:problem:too-large")
    assert await changes_and_audit(desk) == (0, ["refused"])


async def test_what_is_far_too_large_is_not_read_at_all(desk: Desk):
    headers = {"Idempotency-Key": desk.key(), "Content-Length": str(10**10)}
    reader, writer = await desk.connect()
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"POST {desk.path('claims')} HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode())
    assert b" 413 " in await reader.readline()
    writer.close()


async def test_another_media_type_is_refused(desk: Desk):
    headers = {"Idempotency-Key": desk.key(), "Content-Type": "text/plain"}
    answer = await desk.ask("POST", "claims", who="ada", headers=headers, data='{"flavor":"a100"}')
    assert (answer.status, answer.body["type"]) == (415, "urn:mlhub:problem:not-json")


async def test_a_script_that_is_refused_in_a_loop_fills_no_audit(desk: Desk):
    for n in range(20):
        answer = await desk.claim("ada", user="bob", server=f"s{n}")
        assert answer.status == 403
    await desk.claim("bob", user="ada")
    await desk.claim("ada", count=0)
    refused = [row["actor"] for row in await desk.audit()]
    assert refused == ["ada", "bob", "ada"]
    await desk.service.broker.record_refusals(all_of_them=True)
    assert (await desk.audit())[0]["detail"].startswith("19 times more within a minute")


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("leases?state=any", "state"),
        ("leases?limit=0", "limit"),
        ("leases?limit=many", "limit"),
        ("leases?before=99999999999999999999", "before"),
        ("leases?order=up", "order"),
        ("inventory?all=1", "all"),
        ("usage?user=", "user"),
        ("queue?after=-1", "after"),
    ],
)
async def test_a_bad_query_names_its_parameter(desk: Desk, path: str, field: str):
    answer = await desk.ask("GET", path, who="admin")
    assert (answer.status, answer.body["field"]) == (422, field)


@pytest.mark.parametrize(
    "path",
    ["claims/%00", "claims/..%2f..", "leases/%0d%0aX", "leases/" + "x" * 3000, "nothing", ""],
)
async def test_what_is_nowhere_is_not_found(desk: Desk, path: str):
    answer = await desk.ask("GET", path, who="ada")
    assert (answer.status, answer.headers["Content-Type"]) == (404, "application/problem+json")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "claims", "POST"),
        ("DELETE", "inventory", "GET"),
        ("PATCH", "leases/x", "DELETE, GET"),
        ("OPTIONS", "claims", "POST"),
        ("BREW", "claims", "POST"),
    ],
)
async def test_a_method_that_a_path_does_not_take_is_told_so(desk, method, path, allowed):
    answer = await desk.ask(method, path, who="ada")
    assert (answer.status, answer.headers["Allow"]) == (405, allowed)
    assert answer.body["status"] == 405


async def test_a_mistake_of_the_service_shows_a_mark_and_no_trace(desk: Desk, caplog):
    desk.service.broker.policy = None
    answer = await desk.ask("GET", "inventory", who="ada")
    assert (answer.status, answer.headers["Content-Type"]) == (500, "application/problem+json")
    mark = answer.body["detail"].rstrip(".").rpartition(" ")[2]
    assert mark in caplog.text
    assert "Traceback" not in str(answer.body)


SPAWNER = "the spawner"
REFUSALS = {
    "a claim for another user": ("ada", {"user": "bob"}, 403),
    "a claim in the name of a group": ("ada", {"groups": ["admins"]}, 403),
    "a token without rights": ("ada without access", {}, 403),
    "a flavor that is nowhere": ("ada", {"flavor": "h100"}, 404),
    "a flavor beyond ASCII": ("ada", {"flavor": "ａ100"}, 404),
    "a flavor that climbs": ("ada", {"flavor": "../../a100"}, 404),
    "more than one node has": ("ada", {"count": 64}, 409),
    "a user with a line break": (SPAWNER, {"user": "ada\r\nSet-Cookie: x"}, 422),
    "a user with a null": (SPAWNER, {"user": "ada\x00"}, 422),
    "a user of 1,000 characters": (SPAWNER, {"user": "a" * 1000}, 422),
    "a user that is a list": (SPAWNER, {"user": ["ada"]}, 422),
    "a group with a line break": (SPAWNER, {"user": "ada", "groups": ["a\nb"]}, 422),
    "groups as text": (SPAWNER, {"user": "ada", "groups": "ml"}, 422),
    "a server that goes up": ("ada", {"server": "../bob"}, 422),
    "a server with a hidden turn": ("ada", {"server": "a\u202eb"}, 422),
    "a server of 1,000 characters": ("ada", {"server": "s" * 1000}, 422),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_each_refusal_is_one_line_of_audit_and_changes_nothing(desk: Desk, case: str):
    who, body, status = REFUSALS[case]
    answer = await desk.claim(who, **body)
    assert answer.status == status, answer.body
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert len(answer.body["detail"]) > 10
    ledger = await desk.world.ledger()
    assert not ledger.leases
    assert not ledger.waiting()
    (line,) = await desk.audit()
    assert line["action"] in {"refused", "denied"}
    assert not set("\r\n\x00\u202e") & set(str(list(line.values())))


async def test_the_same_key_with_another_body_is_a_conflict_and_one_line(desk: Desk):
    first = await desk.claim("ada", key="the-same-key")
    before = len(await desk.audit())
    other = await desk.claim("ada", key="the-same-key", count=2)
    assert (other.status, other.body["type"]) == (409, "urn:mlhub:problem:conflict")
    assert len(await desk.audit()) == before + 1
    again = await desk.claim("ada", key="the-same-key")
    assert again.body["lease"]["id"] == first.body["lease"]["id"]
    assert len((await desk.world.ledger()).leases) == 1


async def test_two_claims_at_once_with_one_key_are_one_lease(desk: Desk):
    answers = await asyncio.gather(*(desk.claim("ada", key="clicked-twice") for _ in range(8)))
    assert {row.status for row in answers} == {201}
    assert len({row.body["lease"]["id"] for row in answers}) == 1
    assert [row["action"] for row in await desk.audit()] == ["granted"]
