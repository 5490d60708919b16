"""Which name ends up on what: the rules as tables, without a server."""

import gzip
import json
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from hub_services.mlflow import otlp
from hub_services.mlflow.attribution import Ignored, Refused, decoded, rule_for
from hub_services.mlflow.rewriting import rewritten

API = "/api/2.0/mlflow/"
V3 = "/ajax-api/3.0/mlflow/"
FORGED = [{"key": "mlflow.user", "value": "root"}, {"key": "colour", "value": "red"}]
KEPT = {"key": "colour", "value": "red"}
ADA = {"key": "mlflow.user", "value": "ada"}
JSON = {"Content-Type": "application/json"}


def sent(method: str, path: str, body: Any) -> Any:
    content = json.dumps(body).encode()
    return rewritten(method, path, headers=JSON, content=content, user="ada")


def rewritten_json(method: str, path: str, body: Any) -> dict[str, Any]:
    answer = sent(method, path, body)
    assert isinstance(answer, bytes), answer
    return dict(json.loads(answer))


@pytest.mark.parametrize("path", [API + "runs/create", "/ajax-api/2.0/mlflow/runs/create"])
@pytest.mark.parametrize(
    "body",
    [
        pytest.param({}, id="no name at all"),
        pytest.param({"user_id": "root", "tags": FORGED}, id="another's name"),
        pytest.param({"userId": "root", "tags": FORGED}, id="the other spelling of the field"),
        pytest.param({"user_id": "ada", "tags": FORGED[:1] * 3}, id="the tag three times"),
        pytest.param(json.dumps({"user_id": "root", "tags": FORGED}), id="encoded twice"),
    ],
)
def test_a_new_run_bears_the_users_name_whatever_the_client_says(path: str, body: Any) -> None:
    run = rewritten_json("POST", path, body)
    assert run["user_id"] == "ada"
    assert "userId" not in run
    assert [tag for tag in run["tags"] if tag["key"] == "mlflow.user"] == [ADA]


def test_a_repeated_field_is_read_once_and_sent_once() -> None:
    content = b'{"user_id": "ada", "user_id": "root", "run_name": "a", "user_id": "eve"}'
    answer = rewritten("POST", API + "runs/create", headers=JSON, content=content, user="ada")
    assert isinstance(answer, bytes)
    assert answer.count(b'"user_id"') == 1
    assert b"root" not in answer + b"eve"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", API + "runs/set-tag", {"run_id": "1", **FORGED[0]}),
        ("POST", API + "runs/delete-tag", {"run_id": "1", "key": "mlflow.user"}),
        ("PATCH", V3 + "traces/tr-1/tags", FORGED[0]),
        ("DELETE", V3 + "traces/tr-1/tags", {"key": "mlflow.user"}),
        ("DELETE", API + "logged-models/m-1/tags/mlflow.user", {}),
        ("PATCH", V3 + "traces/tr-1/tags", {"key": "mlflow.artifactLocation", "value": "file:///"}),
    ],
)
def test_a_name_that_is_there_cannot_be_changed_or_removed(
    method: str, path: str, body: Any
) -> None:
    assert isinstance(sent(method, path, body), Ignored)


def test_other_tags_of_the_same_request_are_kept() -> None:
    batch = {"run_id": "1", "tags": FORGED, "metrics": [{"key": "loss", "value": 1.5}]}
    answer = rewritten_json("POST", API + "runs/log-batch", batch)
    assert answer == batch | {"tags": [KEPT]}
    assert rewritten_json("PATCH", API + "logged-models/m-1/tags", {"tags": FORGED})["tags"] == [
        KEPT
    ]


def test_ordinary_tags_pass_unchanged() -> None:
    body = {"run_id": "1", "key": "colour", "value": "red"}
    assert rewritten_json("POST", API + "runs/set-tag", body) == body


@pytest.mark.parametrize(
    "names", [("trace_info", "trace_metadata"), ("traceInfo", "traceMetadata")]
)
def test_a_trace_bears_the_users_name_in_its_metadata(names: tuple[str, str]) -> None:
    info, metadata = names
    feedback = {"source": {"source_type": "HUMAN", "source_id": "root"}}
    by_program = {"source": {"source_type": "LLM_JUDGE", "source_id": "judge-1"}}
    given = {
        metadata: {"mlflow.user": "root", "a": "b"},
        "tags": {"mlflow.user": "root"},
        "assessments": [feedback, by_program],
    }
    trace = rewritten_json("POST", V3 + "traces", {"trace": {info: given}})["trace"]
    assert list(trace) == ["trace_info"]
    assert trace["trace_info"]["trace_metadata"] == {"mlflow.user": "ada", "a": "b"}
    assert trace["trace_info"]["tags"] == {"mlflow.user": "ada"}
    sources = [item["source"]["source_id"] for item in trace["trace_info"]["assessments"]]
    assert sources == ["ada", "judge-1"]


def test_older_traces_models_datasets_feedback_and_issues_bear_the_users_name() -> None:
    trace = rewritten_json("POST", API + "traces", {"request_metadata": FORGED, "tags": FORGED})
    assert trace == {"request_metadata": [KEPT, ADA], "tags": [KEPT, ADA]}
    assert rewritten_json("POST", API + "logged-models", {"tags": FORGED})["tags"] == [KEPT, ADA]
    dataset = rewritten_json(
        "POST", V3 + "datasets/create", {"createdBy": "root", "tags": '{"mlflow.user": "root"}'}
    )
    assert dataset == {"created_by": "ada", "tags": '{"mlflow.user": "ada"}'}
    records = json.dumps([{"inputs": {"user_id": "a customer"}, "tags": {"mlflow.user": "root"}}])
    upsert = rewritten_json("POST", V3 + "datasets/d-1/records", {"records": records})
    assert json.loads(upsert["records"])[0] == {
        "inputs": {"user_id": "a customer"},
        "tags": {"mlflow.user": "ada"},
    }
    source = {"assessment": {"source": {"sourceType": "HUMAN", "sourceId": "root"}}}
    feedback = rewritten_json("POST", V3 + "traces/tr-1/assessments", source)
    assert feedback["assessment"]["source"] == {"sourceType": "HUMAN", "source_id": "ada"}
    assert rewritten_json("POST", V3 + "issues", {"created_by": "root"})["created_by"] == "ada"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("experiments/create", {"name": "x", "artifact_location": "file:///etc"}),
        ("experiments/create", {"name": "x", "artifactLocation": "s3://someone-elses"}),
        ("experiments/create", {"name": "x", "artifact_location": "/etc"}),
        ("model-versions/create", {"name": "m", "source": "http://169.254.169.254/"}),
        ("model-versions/create", {"name": "m", "source": "file:///etc/passwd"}),
    ],
)
def test_artifacts_stay_where_this_server_keeps_them(path: str, body: Any) -> None:
    assert isinstance(sent("POST", API + path, body), Refused)


@pytest.mark.parametrize("source", ["runs:/1/model", "models:/m-1", "mlflow-artifacts:/1/a", "x"])
def test_models_logged_here_can_be_registered(source: str) -> None:
    body = {"name": "m", "source": source}
    assert rewritten_json("POST", API + "model-versions/create", body) == body


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("runs/create", b"{"),
        ("runs/create", b"[]"),
        ("runs/create", b'"[1]"'),
        ("runs/create", b'{"tags": {"mlflow.user": "root"}}'),
        ("runs/create", b"\x1f\x8b\x08"),
        ("runs/create", b"\xff\xfe\xfd"),
        ("datasets/create", b'{"tags": "[]"}'),
        ("traces", b'{"tags": "x"}'),
    ],
)
def test_a_body_that_cannot_be_read_is_an_error_and_never_passes(path: str, content: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        rewritten("POST", API + path, headers=JSON, content=content, user="ada")


def test_an_unusual_key_of_a_tag_is_mlflows_to_refuse() -> None:
    assert rewritten_json("POST", API + "runs/set-tag", {"key": ["mlflow.user"]})


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_reading_requests_have_no_rule(method: str) -> None:
    assert rule_for(method, API + "runs/create") is None


def test_requests_without_names_pass_byte_for_byte() -> None:
    content = b'{"filter": "tags.mlflow.user = \'root\'"}'
    answer = rewritten("POST", API + "runs/search", headers=JSON, content=content, user="ada")
    assert answer is content


def test_an_empty_body_reads_as_an_empty_object() -> None:
    assert decoded(b" ") == {}


def spans() -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    root, child = scope.spans.add(name="root"), scope.spans.add(name="child", parent_span_id=b"1")
    for span in (root, child):
        span.attributes.add(key="mlflow.traceTag.mlflow.user").value.string_value = "mallory"
        span.attributes.add(key="kept").value.string_value = "as it is"
    return request


def names_on(content: bytes) -> list[list[tuple[str, str]]]:
    request = ExportTraceServiceRequest.FromString(content)
    return [
        [(attribute.key, attribute.value.string_value) for attribute in span.attributes]
        for span in request.resource_spans[0].scope_spans[0].spans
    ]


NAMED = [
    [("kept", "as it is"), ("mlflow.traceTag.mlflow.user", "ada")],
    [("kept", "as it is")],
]


@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_spans_bear_the_users_name_on_their_root(encoding: str) -> None:
    content = spans().SerializeToString()
    headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": encoding}
    packed = gzip.compress(content) if encoding else content
    answer = rewritten("POST", otlp.PATH, headers=headers, content=packed, user="ada")
    assert isinstance(answer, bytes)
    assert names_on(answer) == NAMED


def test_spans_in_json_bear_the_users_name_too() -> None:
    attributes = [{"key": "mlflow.traceTag.mlflow.user", "value": {"stringValue": "mallory"}}]
    span = {"name": "root", "attributes": attributes}
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    answer = rewritten_json("POST", otlp.PATH, body)
    assert answer["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"] == [
        {"key": "mlflow.traceTag.mlflow.user", "value": {"stringValue": "ada"}}
    ]


def test_a_compressed_bomb_is_refused_before_it_fills_the_memory() -> None:
    with pytest.raises(ValueError, match="larger than 1000 bytes"):
        otlp.plain(gzip.compress(b"0" * 10**6), "gzip", 1000)


@pytest.mark.parametrize("encoding", ["deflate", "br"])
def test_other_compressions_are_refused_with_the_remedy(encoding: str) -> None:
    with pytest.raises(ValueError, match="use gzip or none"):
        otlp.plain(b"", encoding, 1000)
