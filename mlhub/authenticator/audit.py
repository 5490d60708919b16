"""One log line for each decision at the door; names from outside are capped and cleaned."""

from logging import Logger

from tornado.httputil import HTTPServerRequest

from mlhub.authenticator.visitors import Visitor, printable


def remote_address(request: HTTPServerRequest | None) -> str:
    """Says where a request came from, as the proxy tells it."""
    return printable(request.remote_ip, 64) if request is not None else "-"


def admitted(log: Logger, visitor: Visitor, *, user: str, remote: str) -> None:
    """Records that somebody signed in."""
    log.info("%s", _line("admitted", visitor, user=user, remote=remote))


def refused(log: Logger, method: str, visitor: Visitor | None, *, reason: str, remote: str) -> None:
    """Records that somebody was refused; the visitor is None where nobody was found out."""
    nobody = Visitor(method, "-", "-", "-")
    log.warning("%s", _line("refused", visitor or nobody, remote=remote, reason=reason))


def revoked(log: Logger, visitor: Visitor, *, user: str, reason: str) -> None:
    """Records that somebody who was signed in may stay no longer."""
    log.warning("%s", _line("revoked", visitor, user=user, reason=reason))


def _line(outcome: str, visitor: Visitor, **more: str) -> str:
    parts = {
        "outcome": outcome,
        "method": visitor.method,
        "login": visitor.login,
        "id": visitor.subject,
        **more,
    }
    return "sign-in " + " ".join(f"{key}={printable(value, 200)!r}" for key, value in parts.items())
