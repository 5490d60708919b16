"""Every route with every kind of credential, for what is one's own and what is not."""

from dataclasses import replace

import pytest

from hub_services.quota.table import EVENTS, ROUTES
from tests.services.quota.desk import Desk

OWNERS = ("ada", "a server of ada")
OPERATORS = ("admin", "the operator")
OTHERS = ("bob", "a server of the admin", "the scraper")
REFUSED = {"nobody": 401, "invalid": 401, "ada without access": 403, "the stranger": 403}
EVERYONE = (*OWNERS, *OPERATORS, *OTHERS, "the spawner", "a ticket of ada")
READERS = dict.fromkeys(EVERYONE, 200)
SIGNED_IN = {**READERS, "a ticket of ada": 403}
KNOWING = {**dict.fromkeys((*OWNERS, *OPERATORS, "the spawner"), 200), **dict.fromkeys(OTHERS, 404)}
ACTORS = {**dict.fromkeys(EVERYONE, 403)}

# What each route answers to each credential. Everything touches what is ada's.
TABLE = {
    "GET inventory": READERS,
    "GET queue": READERS,
    "GET me": {**READERS, **dict.fromkeys(("the operator", "the spawner", "the scraper"), 403)},
    "GET claims/{claim}": {**KNOWING, "a ticket of ada": 200},
    "DELETE claims/{claim}": {**KNOWING, "a ticket of ada": 403},
    "GET leases": SIGNED_IN,
    "GET leases?user=ada": {
        **dict.fromkeys((*OWNERS, *OPERATORS, "the spawner"), 200),
        **dict.fromkeys((*OTHERS, "a ticket of ada"), 403),
    },
    "GET leases/{lease}": {**KNOWING, "a ticket of ada": 403},
    "DELETE leases/{lease}": {**KNOWING, "a ticket of ada": 403},
    "POST leases/{lease}/renew": {**KNOWING, "a ticket of ada": 403},
    "POST leases/{lease}/used": {
        **KNOWING, **dict.fromkeys((*OPERATORS, "a ticket of ada"), 403),
    },
    "POST leases/{lease}/holder": {**ACTORS, "the spawner": 200},
    "GET usage": SIGNED_IN,
    "GET usage?user=ada": {
        **dict.fromkeys((*OWNERS, *OPERATORS, "the spawner"), 200),
        **dict.fromkeys((*OTHERS, "a ticket of ada"), 403),
    },
    "GET audit": {**ACTORS, **dict.fromkeys(OPERATORS, 200)},
    "GET doctor": {**ACTORS, **dict.fromkeys(OPERATORS, 200)},
    "POST tickets": {**ACTORS, "the spawner": 201},
    "POST claims": {
        **dict.fromkeys((*OWNERS, "bob", "admin", "a server of the admin"), 201),
        "the spawner": 422, "the operator": 403, "the scraper": 403, "a ticket of ada": 403,
    },
}  # fmt: skip
BODIES = {
    "POST leases/{lease}/renew": {"duration": "8h"},
    "POST leases/{lease}/used": {},
    "DELETE leases/{lease}": {"why": "the machine is needed"},
    "POST leases/{lease}/holder": {"pid": 7},
    "POST tickets": {"user": "ada"},
    "POST claims": {"flavor": "t4-that-nobody-else-asks-for"},
}


async def ticket_of_ada(desk: Desk) -> None:
    """Adds the credential that only a running service can make."""
    body = {"user": "ada", "groups": ["ml"]}
    answer = await desk.ask("POST", "tickets", who="the spawner", json=body)
    desk.tokens = {**desk.tokens, "a ticket of ada": answer.body["ticket"]}


async def asked_as(desk: Desk, who: str, call: str, **names: str) -> int:
    method, path = call.format(**names).split(" ")
    headers = {"Idempotency-Key": desk.key()}
    if who == "a ticket of ada":
        headers["Authorization"] = f"Ticket {desk.tokens[who]}"
        who = "nobody"
    body = BODIES.get(call)
    if call == "POST claims":
        body = {"flavor": "a100", "server": f"of-{desk.key()}"}
    answer = await desk.ask(method, path, who=who, headers=headers, json=body)
    return answer.status


@pytest.mark.parametrize("call", TABLE)
async def test_a_route_answers_each_credential_as_the_table_says(desk: Desk, call: str):
    await ticket_of_ada(desk)
    found, claim = {}, ""
    expected = {**TABLE[call], **REFUSED}
    for who in expected:
        lease = await desk.lease("ada", server=f"train-{desk.key()}")
        if "renew" not in call:  # nothing is prolonged while somebody waits
            claim = (await desk.claim("ada", server="next", count=4, wait=True)).body["claim"]
        found[who] = await asked_as(desk, who, call, lease=lease["id"], claim=claim)
        await desk.clear()
    assert found == expected


def test_the_table_leaves_no_route_out():
    named = {call.split("?")[0] for call in TABLE}
    routes = {
        f"{row.method} {row.path[1:].replace('_id', '')}" for row in ROUTES if row is not EVENTS
    }
    assert named == routes


async def test_the_document_of_the_api_needs_no_credential(desk: Desk):
    assert (await desk.ask("GET", "openapi.json")).status == 200


async def test_a_server_of_an_admin_sees_no_more_than_its_owner(desk: Desk):
    await desk.lease("ada")
    for who, names in (("a server of the admin", []), ("bob", []), ("admin", ["ada"])):
        answer = await desk.ask("GET", "inventory", who=who)
        devices = [row for node in answer.body["nodes"] for row in node["devices"]]
        assert [row["holder"]["user"] for row in devices if row["holder"]] == names, who


async def test_the_queue_names_others_only_to_operators(desk: Desk):
    await desk.lease("bob", count=4)
    await desk.claim("ada", wait=True)
    for who, name, mine in (("bob", None, False), ("ada", "ada", True), ("admin", "ada", False)):
        row = (await desk.ask("GET", "queue", who=who)).body["items"][0]
        assert (row["user"], row["mine"], row["server"] is None) == (name, mine, name is None)


async def test_a_sign_to_look_into_is_told_to_operators_alone(desk: Desk):
    stock = desk.world.stock
    said = "row remapping is pending"
    first, *others = stock.content.devices
    stock.content = replace(stock.content, devices=(replace(first, warning=said), *others))
    told = {}
    for who in ("admin", "bob"):
        [node] = (await desk.ask("GET", "inventory", who=who)).body["nodes"]
        page = (await desk.ask("GET", "/who", who=who)).body
        told[who] = ([row["warning"] for row in node["devices"]], said in page)
    assert told == {"admin": ([said, "", "", ""], True), "bob": ([""] * 4, False)}
