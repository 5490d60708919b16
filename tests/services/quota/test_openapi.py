"""The API's document: it is valid, it is true, and nothing that follows it breaks the service."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    ignored_auth,
    negative_data_rejection,
    positive_data_acceptance,
    unsupported_method,
)

from hub_services.quota.openapi import document
from hub_services.quota.table import EVENTS, ROUTES
from tests.services.quota.hub import Hub
from tests.services.quota.running import Quota, quota_service

EXAMPLES = int(os.environ.get("MLHUB_FUZZ", "30"))  # for each operation and credential
FUZZ = settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
# Looked at by tests of their own: what each credential may, and each method. What may stand in a
# duration is more than a schema can say.
OTHERWISE = (not_a_server_error, ignored_auth, unsupported_method, positive_data_acceptance)
# Without the stream, which never ends by itself.
schema = schemathesis.openapi.from_dict(document(ROUTES, "/services/quota/api/v1"))


@pytest.fixture(scope="module")
def quota(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Quota]:
    often = {"requests": {"burst": 1_000_000}}
    with quota_service(hub, tmp_path_factory.mktemp("fuzzed"), limits=often) as quota:
        yield quota


@pytest.fixture(scope="module")
def ids(quota: Quota, tokens) -> dict[str, str]:
    """A claim and a lease that are there, for fuzzed requests to hit."""
    granted = quota.claim(tokens["ada"], "fuzzed-key", server="fuzzed").json()
    return {"claim_id": granted["claim"], "lease_id": granted["lease"]["id"]}


@pytest.mark.stack
@pytest.mark.parametrize("who", ["the spawner", "admin", "ada"])
@schema.parametrize()
@FUZZ
def test_no_request_breaks_the_service(case, who: str, quota: Quota, tokens, ids):
    for name, value in (case.path_parameters or {}).items():
        if len(value) % 2:  # half of the requests hit something that is there
            case.path_parameters[name] = ids[name]
    headers = {"Authorization": f"Bearer {tokens[who]}"}
    answer = case.call(base_url=f"{quota.url}api/v1", headers=headers)
    refused = answer.status_code == 503 and answer.json().get("state") == "denied"
    assert answer.status_code < 500 or refused, answer.text
    too_large = [negative_data_rejection] if answer.status_code == 413 else []
    case.validate_response(answer, excluded_checks=[*OTHERWISE, *too_large])


@pytest.mark.stack
def test_after_all_that_everything_still_holds(quota: Quota, hub: Hub):
    rows = quota.ask("GET", "doctor", hub.tokens["operator"]).json()
    assert [row for row in rows if not row["ok"]] == []
    assert "Traceback" not in quota.said()


def test_the_document_names_every_route_and_its_problems():
    made = document((*ROUTES, EVENTS), "/services/quota/api/v1")
    assert made["openapi"] == "3.1.0"
    for route in ROUTES:
        operation = made["paths"][route.path][route.method.lower()]
        assert {str(status) for status in (*route.answers, *route.problems, 401, 500)} <= set(
            operation["responses"]
        )
        assert operation["summary"]


def test_every_reference_in_the_document_leads_somewhere():
    made = document((*ROUTES, EVENTS), "/services/quota/api/v1")
    schemas = made["components"]["schemas"]
    for reference in references(made):
        assert reference.removeprefix("#/components/schemas/") in schemas
    for model in schemas.values():
        jsonschema.Draft202012Validator.check_schema(model)


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)
