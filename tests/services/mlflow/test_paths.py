"""What an address means to the proxy, and to MLflow behind it."""

import pytest

from hub_services.mlflow import paths

PREFIX = "/services/mlflow/"


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ("", "/"),
        ("api/2.0/mlflow/runs/create", "/api/2.0/mlflow/runs/create"),
        ("api/2.0/mlflow/runs%2Fcreate", "/api/2.0/mlflow/runs/create"),
        ("api/2.0/mlflow/%72uns/create", "/api/2.0/mlflow/runs/create"),
        ("api/2.0/mlflow-artifacts/artifacts/1/a%20b%C3%A9.txt", None),
    ],
)
def test_an_address_is_decided_by_its_decoded_form(raw: str, path: str | None) -> None:
    expected = path or "/api/2.0/mlflow-artifacts/artifacts/1/a bé.txt"
    assert paths.canonical(PREFIX + raw, PREFIX) == expected


@pytest.mark.parametrize(
    "raw",
    [
        "../admin",
        "a/../b",
        "a/%2e%2e/b",
        "a/./b",
        "a//b",
        "a/%2Fb",
        "a%5Cb",
        "a%00",
        "a%0d%0ab",
        "%ff",
    ],
)
def test_an_address_with_more_than_one_reading_is_none(raw: str) -> None:
    assert paths.canonical(PREFIX + raw, PREFIX) is None


def test_an_address_outside_the_service_is_none() -> None:
    assert paths.canonical("/services/quota/", PREFIX) is None


def test_what_is_sent_on_decodes_to_what_was_decided_by() -> None:
    path = "/api/2.0/mlflow-artifacts/artifacts/1/50% é #?.txt"
    assert paths.canonical(PREFIX + paths.encoded(path)[1:], PREFIX) == path
    assert str(paths.upstream(paths.encoded(path))).endswith("/50%25%20%C3%A9%20%23%3F.txt")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/ajax-api/3.0/mlflow/assistant/config"),
        ("POST", "/ajax-api/3.0/mlflow/assistant/message"),
        ("GET", "/ajax-api/2.0/mlflow/gateway-proxy"),
        ("POST", "/gateway/chat/invocations"),
        ("POST", "/api/3.0/mlflow/gateway/secrets/create"),
        ("POST", "/api/2.0/mlflow/webhooks"),
        ("PATCH", "/api/2.0/mlflow/webhooks/1"),
        ("POST", "/ajax-api/3.0/jobs/"),
        ("POST", "/ajax-api/3.0/mlflow/scorer/invoke"),
        ("POST", "/api/3.0/mlflow/prompt-optimization/jobs"),
    ],
)
def test_what_would_act_for_the_whole_team_is_refused_with_a_reason(method: str, path: str) -> None:
    assert "team server does not" in (paths.refusal(method, path) or "")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/ajax-api/3.0/mlflow/gateway/endpoints/list"),
        ("POST", "/api/2.0/mlflow/runs/create"),
        ("GET", "/static-files/main.js"),
        ("POST", "/graphql"),
    ],
)
def test_ordinary_work_is_not_refused(method: str, path: str) -> None:
    assert paths.refusal(method, path) is None


def test_only_artifacts_stream() -> None:
    artifact = "/api/2.0/mlflow-artifacts/artifacts/1/model.bin"
    assert paths.body_of("PUT", artifact) is paths.Body.STREAMED
    assert paths.body_of("POST", artifact) is paths.Body.HELD
    assert paths.body_of("PUT", "/api/2.0/mlflow/runs/create") is paths.Body.HELD
