"""Who did it: one rule for each request that carries a name, which becomes the user's. Pure.

Each rule takes the decoded JSON body and the user's name and returns the body to send on, or
one of two outcomes: ``Ignored`` (the request only tried to change a name) or ``Refused``.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlparse

from hub_services.mlflow import names
from hub_services.mlflow.names import USER_TAG, Json, object_at, renamed
from hub_services.mlflow.paths import API

SERVED_HERE = {"mlflow-artifacts", "runs", "models"}
PROGRAMS = {"CODE", "LLM_JUDGE"}


@dataclass(frozen=True, slots=True)
class Ignored:
    """The name stays as it is; answer with success, as the rest of the client's work goes on."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The request is not sent on; the reason is for the user."""

    reason: str


Outcome = Json | Ignored | Refused
Rule = Callable[[Json, str], Outcome]


def rule_for(method: str, path: str) -> Rule | None:
    """The rule for a request, or None if it carries no name; reading requests have none."""
    if method == "DELETE":
        return _deletion(path)
    if method not in {"POST", "PUT", "PATCH"}:
        return None
    return next((rule for pattern, rule in RULES if pattern.fullmatch(path)), None)


def _deletion(path: str) -> Rule | None:
    in_path = TAG_IN_PATH.fullmatch(path)
    if in_path:
        return keep_names if names.is_server_tag(in_path[1]) else None
    return one_tag if TAG_IN_BODY.fullmatch(path) else None


def decoded(content: bytes) -> Json:
    """The object in a request's body, read as MLflow does: empty, or encoded twice.

    Raises:
        ValueError: if it is not a JSON object.
    """
    body = json.loads(content) if content.strip() else {}
    if isinstance(body, str):
        body = json.loads(body)
    if not isinstance(body, dict):
        raise ValueError("the body is not a JSON object")
    return body


def new_run(body: Json, user: str) -> Outcome:
    """A run belongs to whoever creates it."""
    return renamed(body, "user_id", "userId", user) | {"tags": names.signed(body.get("tags"), user)}


def new_logged_model(body: Json, user: str) -> Outcome:
    """A logged model carries its maker's name."""
    return body | {"tags": names.signed(body.get("tags"), user)}


def new_experiment(body: Json, user: str) -> Outcome:
    """Artifacts lie where this server keeps them, nowhere else on its machine or network."""
    locations = [body.get("artifact_location"), body.get("artifactLocation")]
    if any(location and not is_served_here(location) for location in locations):
        return Refused("This server keeps the artifacts itself: leave artifact_location out.")
    return new_thing(body, user)


def new_model_version(body: Json, user: str) -> Outcome:
    """A model version is made of what was logged here."""
    source = body.get("source")
    if source and not is_served_here(source):
        return Refused("Register models that were logged to this server: runs:/… or models:/….")
    return new_thing(body, user)


def is_served_here(uri: object) -> bool:
    """Whether an address names something that this server keeps."""
    if not isinstance(uri, str) or uri.startswith("/"):
        return False
    scheme = urlparse(uri).scheme
    return scheme in SERVED_HERE or (not scheme and ":" not in uri)


def new_thing(body: Json, user: str) -> Outcome:
    """A name that is given becomes the user's; none is added."""
    if "tags" not in body:
        return body
    return body | {"tags": names.signed_if_named(body["tags"], user)}


def one_tag(body: Json, user: str) -> Outcome:
    """Setting or removing a single tag never touches a name."""
    return Ignored() if names.is_server_tag(body.get("key")) else body


def keep_names(body: Json, user: str) -> Outcome:
    """A name is never removed."""
    return Ignored()


def many_tags(body: Json, user: str) -> Outcome:
    """Setting many things at once leaves out names and keeps the rest."""
    return body | {"tags": names.without_names(body["tags"])} if "tags" in body else body


def trace_v2(body: Json, user: str) -> Outcome:
    """Traces of the older interface carry names in a list of metadata."""
    metadata = body.get("request_metadata") or body.get("requestMetadata")
    signed = names.signed(metadata, user)
    return new_thing(renamed(body, "request_metadata", "requestMetadata", signed), user)


def trace_v3(body: Json, user: str) -> Outcome:
    """Traces carry the name in their metadata; feedback by a person carries that person's."""
    trace = object_at(body, "trace")
    info = object_at(trace, "trace_info", "traceInfo")
    metadata = object_at(info, "trace_metadata", "traceMetadata")
    info = renamed(info, "trace_metadata", "traceMetadata", metadata | {USER_TAG: user})
    info["tags"] = names.map_signed_if_named(object_at(info, "tags"), user)
    info["assessments"] = [judged(item, user) for item in names.listed(info.get("assessments"))]
    return body | {"trace": renamed(trace, "trace_info", "traceInfo", info)}


def assessment(body: Json, user: str) -> Outcome:
    """Feedback by a person is by the person who sends it."""
    return body | {"assessment": judged(object_at(body, "assessment"), user)}


def judged(item: object, user: str) -> object:
    """One assessment with its human source named rightly; those of programs stay."""
    if not isinstance(item, dict) or not item.get("source"):
        return item
    source = object_at(item, "source")
    if source.get("source_type", source.get("sourceType")) in PROGRAMS:
        return item
    return item | {"source": renamed(source, "source_id", "sourceId", user)}


def new_dataset(body: Json, user: str) -> Outcome:
    """A dataset's maker is read from its tags, which are JSON in a string."""
    tags = decoded((body.get("tags") or "{}").encode())
    signed = names.map_without_names(tags) | {USER_TAG: user}
    return renamed(body, "created_by", "createdBy", user) | {"tags": json.dumps(signed)}


def dataset_tags(body: Json, user: str) -> Outcome:
    """Tags of a dataset, without names."""
    tags = decoded((body.get("tags") or "{}").encode())
    return body | {"tags": json.dumps(names.map_without_names(tags))}


def dataset_records(body: Json, user: str) -> Outcome:
    """Records of a dataset are by whoever sends them."""
    records = names.listed(json.loads(body.get("records") or "[]"))
    signed = [_signed_record(record, user) for record in records]
    return renamed(body, "updated_by", "updatedBy", user) | {"records": json.dumps(signed)}


def _signed_record(record: object, user: str) -> object:
    if not isinstance(record, dict):
        return record
    return record | {"tags": object_at(record, "tags") | {USER_TAG: user}}


def new_issue(body: Json, user: str) -> Outcome:
    """An issue is raised by whoever sends it."""
    return renamed(body, "created_by", "createdBy", user)


def _table(rows: list[tuple[str, Rule]]) -> list[tuple[re.Pattern[str], Rule]]:
    return [(re.compile(API + "mlflow/" + pattern), rule) for pattern, rule in rows]


TAG_IN_PATH = re.compile(API + r"mlflow/(?:logged-models|datasets)/[^/]+/tags/(.+)")
TAG_IN_BODY = re.compile(API + r"mlflow/(?:traces/[^/]+/tags|[a-z-]+/delete-tag)")
RULES = _table(
    [
        (r"runs/(?:create|create-promptlab-run)", new_run),
        (r"runs/(?:set-tag|delete-tag)", one_tag),
        (r"runs/log-batch", many_tags),
        (r"experiments/create", new_experiment),
        (r"experiments/(?:set|delete)-experiment-tag", one_tag),
        (r"logged-models", new_logged_model),
        (r"logged-models/[^/]+/tags", many_tags),
        (r"registered-models/create", new_thing),
        (r"model-versions/create", new_model_version),
        (r"(?:registered-models|model-versions)/set-tag", one_tag),
        (r"traces", trace_v3),
        (r"traces/[^/]+/tags", one_tag),
        (r"traces/[^/]+/assessments(?:/[^/]+)?", assessment),
        (r"datasets/create", new_dataset),
        (r"datasets/[^/]+/tags", dataset_tags),
        (r"datasets/[^/]+/records", dataset_records),
        (r"issues", new_issue),
    ]
)
V2_TRACE = re.compile(r"/(?:ajax-)?api/2\.0/mlflow/traces(?:/(?!link-|delete-)[^/]+)?")
RULES.insert(0, (V2_TRACE, trace_v2))
