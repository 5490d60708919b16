"""Which requests a foreign page made: they may read what anyone may, and change nothing."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from tornado.httputil import HTTPHeaders

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


def foreign(method: str, headers: HTTPHeaders) -> str:
    """Why a request is not to be carried out, or "" if nothing speaks against it.

    Browsers say where a request comes from in headers that no page can set (Fetch Metadata, and
    Origin). A client that is no browser sends none of them.
    """
    if method in SAFE_METHODS:
        return ""
    if headers.get("Sec-Fetch-Site", "") not in {"", "same-origin", "none"}:
        return "it comes from a page of another site"
    if headers.get("Sec-Fetch-Mode", "") == "no-cors":
        return "it was made without the page being allowed to see the answer"
    origin = headers.get("Origin", "")
    if origin and not _same_host(origin, headers):
        return "it comes from a page of another address"
    return ""


def _same_host(origin: str, headers: HTTPHeaders) -> bool:
    try:
        host = urlsplit(origin).netloc.lower()
    except ValueError:
        return False
    # A proxy in front names the host that the browser asked for; no page can set this header
    # without the permission that it would have to ask for first.
    forwarded = headers.get("X-Forwarded-Host", "").split(",")[0].strip().lower()
    return bool(host) and host in {headers.get("Host", "").lower(), forwarded}
