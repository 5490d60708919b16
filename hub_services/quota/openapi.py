"""The API's document (OpenAPI 3.1), made from the table of routes and the models."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

import mlhub
from hub_services.quota.answers import ProblemView
from hub_services.quota.origins import SAFE_METHODS
from hub_services.quota.problems import MEDIA_TYPE
from hub_services.quota.routes import Call, Reply, Right, Route

REF: Final = "#/components/schemas/{model}"
CREDENTIALS: Final = {
    "token": {
        "type": "http", "scheme": "bearer",
        "description": "a JupyterHub API token; `Authorization: token …` is the same",
    },
    "ticket": {
        "type": "apiKey", "in": "header", "name": "Authorization",
        "description": "`Ticket …`, made by POST /tickets: an hour, one user, reading only",
    },
    "sign_in": {
        "type": "apiKey", "in": "cookie", "name": "service-quota",
        "description": "of the service's pages; scripts send X-XSRFToken with it",
    },
}  # fmt: skip
KEY: Final = {
    "name": "Idempotency-Key", "in": "header", "required": True,
    "schema": {"type": "string", "minLength": 8, "maxLength": 128, "pattern": "^[ -~]{8,128}$"},
    "description": "names this claim: the same key always gets the same claim's answer",
}  # fmt: skip
EVERYWHERE: Final = (400, 403, 422, 500, 502, 503)


def document(routes: tuple[Route, ...], base: str) -> dict[str, Any]:
    """The document of these routes.

    Args:
        routes: the table.
        base: the path that the API is under.
    """
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "mlhub quota service",
            "version": mlhub.__version__,
            "description": "Claims, leases and queues for GPUs; errors are problems (RFC 9457).",
        },
        "servers": [{"url": base.rstrip("/")}],
        "paths": paths,
        "components": {"schemas": _schemas(routes), "securitySchemes": CREDENTIALS},
    }


def document_route(routes: tuple[Route, ...]) -> Route:
    """The route that answers with the document of these."""

    async def show(call: Call) -> Reply:
        return Reply(document(routes, f"{call.service.prefix}api/v1"))

    return Route("GET", "/openapi.json", Right.ANYONE, "This document", show, {200: None})


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": f"{route.method.lower()}{route.path.title().translate(_NO_MARKS)}",
        "summary": route.summary,
        "description": f"Credential: {route.right}.",
        "security": _security(route.right),
        "parameters": [*_path(route), *_query(route), *([KEY] if route.keyed else [])],
        "responses": _responses(route),
    }
    if route.body is not None:
        required = any(field.is_required() for field in route.body.model_fields.values())
        content = {"application/json": {"schema": _ref(route.body)}}
        operation["requestBody"] = {"required": required, "content": content}
    return operation


_NO_MARKS: Final = str.maketrans("", "", "/{}_")


def _security(right: Right) -> list[dict[str, list[str]]]:
    if right is Right.ANYONE:
        return []
    tickets: list[dict[str, list[str]]] = [{"ticket": []}] if right is Right.READER else []
    return [{"token": []}, {"sign_in": []}, *tickets]


def _path(route: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in route.variables
    ]


def _query(route: Route) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    fields = route.query.model_json_schema(ref_template=REF)["properties"]
    return [
        {"name": name, "in": "query", "required": False, "schema": _without_null(schema)}
        for name, schema in fields.items()
    ]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """What stands in a query is never null: it is left out instead."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind.get("type") != "null"]
    plain = {key: value for key, value in schema.items() if key not in {"anyOf", "default"}}
    return {**plain, **kinds[0]} if kinds else schema


def _responses(route: Route) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for status, model in route.answers.items():
        content = {route.media: {"schema": _answer(route, model)}}
        found[str(status)] = {"description": route.summary, "content": content}
    refused = () if route.right is Right.ANYONE else (401,)
    bodies = (413, 415) if route.body else ()
    often = () if route.method in SAFE_METHODS else (429,)
    for status in sorted({*EVERYWHERE, *refused, *bodies, *often, *route.problems}):
        content = {MEDIA_TYPE: {"schema": _ref(ProblemView)}}
        found[str(status)] = {"description": "a problem", "content": content}
    return found


def _answer(route: Route, model: type[BaseModel] | None) -> dict[str, Any]:
    if model is None:
        return {"type": "object"} if route.media == "application/json" else {"type": "string"}
    return {"type": "array", "items": _ref(model)} if route.many else _ref(model)


def _ref(model: type[BaseModel]) -> dict[str, Any]:
    return {"$ref": REF.format(model=model.__name__)}


def _schemas(routes: tuple[Route, ...]) -> dict[str, Any]:
    models: dict[type[BaseModel], None] = {ProblemView: None}
    for route in routes:
        models |= {model: None for model in (route.body, *route.answers.values()) if model}
    _, found = models_json_schema(
        [(model, "validation" if _is_body(model, routes) else "serialization") for model in models],
        ref_template=REF,
    )
    return dict(found["$defs"])


def _is_body(model: type[BaseModel], routes: tuple[Route, ...]) -> bool:
    return any(route.body is model for route in routes)
