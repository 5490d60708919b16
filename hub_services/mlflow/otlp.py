"""Names on traces that arrive as OpenTelemetry spans, not as MLflow's own JSON."""

import gzip
import io
import json
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from hub_services.mlflow.names import SERVER_TAGS, USER_TAG

PATH = "/v1/traces"
PREFIX = "mlflow.traceTag."  # MLflow makes tags of a trace from such attributes of its root span
FORGED = {PREFIX + tag for tag in SERVER_TAGS}


def plain(content: bytes, encoding: str, limit: int) -> bytes:
    """A body without its compression.

    Raises:
        ValueError: for an unknown compression, a broken one, or more than ``limit`` bytes.
    """
    if encoding in {"", "identity"}:
        return content
    if encoding != "gzip":
        raise ValueError(f"content-encoding {encoding!r} is not taken here: use gzip or none")
    try:
        unpacked = gzip.GzipFile(fileobj=io.BytesIO(content)).read(limit + 1)
    except (OSError, EOFError) as error:
        raise ValueError(f"the body is no gzip: {error}") from error
    if len(unpacked) > limit:
        raise ValueError(f"the body is larger than {limit} bytes when unpacked")
    return unpacked


def attributed(content: bytes, content_type: str, user: str) -> bytes:
    """The spans with the user's name on each root, whatever name was there.

    Raises:
        ValueError: if the body is not what its content type says.
    """
    if content_type.split(";", maxsplit=1)[0].strip() == "application/json":
        return _json(content, user)
    return _protobuf(content, user)


def _protobuf(content: bytes, user: str) -> bytes:
    request = ExportTraceServiceRequest()
    try:
        request.ParseFromString(content)
    except DecodeError as error:
        raise ValueError(f"the body is no OpenTelemetry message: {error}") from error
    name = KeyValue(key=PREFIX + USER_TAG, value=AnyValue(string_value=user))
    for span in (s for r in request.resource_spans for o in r.scope_spans for s in o.spans):
        kept = [attribute for attribute in span.attributes if attribute.key not in FORGED]
        del span.attributes[:]
        span.attributes.extend(kept if span.parent_span_id else [*kept, name])
    return bytes(request.SerializeToString())


def _json(content: bytes, user: str) -> bytes:
    body = json.loads(content)
    name = {"key": PREFIX + USER_TAG, "value": {"stringValue": user}}
    for span in _spans(body):
        given = _list(span, "attributes")
        kept = [attribute for attribute in given if attribute.get("key") not in FORGED]
        is_root = not (span.get("parentSpanId") or span.get("parent_span_id"))
        span["attributes"] = [*kept, name] if is_root else kept
    return json.dumps(body).encode()


def _spans(body: Any) -> list[dict[str, Any]]:
    resources = _list(body, "resourceSpans", "resource_spans")
    scopes = [
        scope for resource in resources for scope in _list(resource, "scopeSpans", "scope_spans")
    ]
    return [span for scope in scopes for span in _list(scope, "spans")]


def _list(body: Any, *names: str) -> list[dict[str, Any]]:
    if not isinstance(body, dict):
        raise ValueError("an object is expected")
    items: object = next((body[name] for name in names if body.get(name)), [])
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ValueError(f"{names[0]} is not a list of objects")
    return items
