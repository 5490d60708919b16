"""From the body that came to the body that is sent on: which rule, in what format. Pure."""

import json
from collections.abc import Mapping

from hub_services.mlflow import attribution, otlp
from hub_services.mlflow.attribution import Ignored, Refused
from hub_services.mlflow.settings import JSON_LIMIT


def rewritten(
    method: str, path: str, *, headers: Mapping[str, str], content: bytes, user: str
) -> bytes | Ignored | Refused:
    """The body with the user's name on everything that the request creates.

    Args:
        method: HTTP method.
        path: canonical path below the service.
        headers: the request's headers.
        content: the body as it came, at most ``JSON_LIMIT`` bytes.
        user: the authenticated name.

    Raises:
        ValueError: if a body that carries a name cannot be read.
    """
    if path == otlp.PATH:
        encoding = headers.get("Content-Encoding", "").lower()
        unpacked = otlp.plain(content, encoding, JSON_LIMIT)
        return otlp.attributed(unpacked, headers.get("Content-Type", ""), user)
    rule = attribution.rule_for(method, path)
    if rule is None:
        return content
    outcome = rule(attribution.decoded(content), user)
    return outcome if isinstance(outcome, Ignored | Refused) else json.dumps(outcome).encode()
