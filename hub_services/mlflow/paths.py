"""What an address means here: its one canonical form, what is refused, what streams."""

import re
from enum import Enum, auto
from urllib.parse import quote, unquote

from yarl import URL

API = r"/(?:ajax-)?api/\d\.\d/"
UNUSUAL = re.compile(r"[\x00-\x1f\x7f\\]|//|/\.\.?(?:/|$)|[\udc80-\udcff]")
SAFE = "/:@!$&'()*+,;=-._~"

READING = {"GET", "HEAD"}
REFUSED_ALWAYS = re.compile(API + r"mlflow/(?:assistant|gateway-proxy)(?:/|$)")
REFUSED_WRITES = re.compile(
    rf"(?:{API}(?:jobs|mlflow/(?:jobs|gateway|webhooks|prompt-optimization|demo|scorer/invoke"
    r"|issues/invoke|genai/evaluate/invoke|scorers/online-config))|/gateway)(?:/|$)"
)
STREAMED = re.compile(API + r"mlflow-artifacts/artifacts/.")
USERS_CONTENT = re.compile(
    r"/(?:model-versions/)?get-artifact$"
    rf"|{API}(?:mlflow-artifacts/artifacts/.|mlflow/get-trace-artifact$"
    r"|mlflow/logged-models/[^/]+/artifacts/files$)"
)


class Body(Enum):
    """How a request's body passes through."""

    HELD = auto()  # MLflow holds it in memory, so it is small
    STREAMED = auto()  # an artifact: any size up to the limit, never held


def canonical(raw: str, prefix: str) -> str | None:
    """The decoded path below the service's prefix, or None if there is no single reading of it.

    The proxy decides by this path and sends on exactly this path, so that MLflow cannot read an
    address differently from the proxy (``%2e%2e``, ``//``, a backslash, bytes that are no UTF-8).

    Args:
        raw: the path as it came, percent-encoded, without the query.
        prefix: the service's path, with slashes at both ends.
    """
    if not raw.startswith(prefix):
        return None
    path = "/" + unquote(raw.removeprefix(prefix), errors="surrogateescape")
    return None if UNUSUAL.search(path) else path


def encoded(path: str) -> str:
    """A canonical path, percent-encoded to be sent on."""
    return quote(path, safe=SAFE)


def upstream(address: str) -> URL:
    """An address for the client library, which must not decode and encode it once more."""
    return URL(f"http://localhost{address}", encoded=True)


def refusal(method: str, path: str) -> str | None:
    """Why this server does not offer a request, or None.

    MLflow's assistant runs programs on the server; gateway, webhooks, judges and jobs make the
    server call out with the team's credentials or run users' code. None of it is for a server
    that everyone shares.
    """
    if REFUSED_ALWAYS.match(path):
        return "This team server does not offer MLflow's assistant and gateway."
    if method not in READING and REFUSED_WRITES.match(path):
        return "This team server does not run jobs, judges, webhooks or gateway endpoints."
    return None


def body_of(method: str, path: str) -> Body:
    """Whether a request's body is an artifact."""
    return Body.STREAMED if method == "PUT" and STREAMED.match(path) else Body.HELD


def is_users_content(path: str) -> bool:
    """Whether the answer is a file that some user uploaded, which must never run as this site."""
    return USERS_CONTENT.match(path) is not None


def is_page(path: str) -> bool:
    """Whether the answer is the page of MLflow's interface."""
    return path == "/"
