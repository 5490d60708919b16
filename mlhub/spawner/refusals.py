"""A spawn that is refused: one exception with a text, a link and a status, on hub 6 and hub 5.5.

Hub 6 has SpawnException for this and does not count it as a failure of the hub. Hub 5.5 counts
every failed spawn and stops at `consecutive_failure_limit`; there `uncounted` takes the one off
that the hub is about to add.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any, Final

from jupyterhub import spawner as hub_spawner
from tornado import web

from mlhub.core.errors import BadInput

Base: Final[type[web.HTTPError]] = getattr(hub_spawner, "SpawnException", web.HTTPError)
HUB_COUNTS_REFUSALS: Final = Base is web.HTTPError
LONGEST: Final = 2000


@dataclass(frozen=True, slots=True)
class Told:
    """What somebody is told whose server was not started.

    Attributes:
        reason: one word for metrics and logs.
        message: the text, plain.
        status: the HTTP status of the answer.
        link: where to go from here, and what it is called there; "" where there is no such place.
        redirect: True when a browser is to go there by itself.
        retry_after: seconds after which asking again may go better.
    """

    reason: str
    message: str
    status: int = 400
    link: str = ""
    link_text: str = ""
    redirect: bool = False
    retry_after: int | None = None


class SpawnRefused(Base):  # type: ignore[misc, valid-type]
    """The server is not started, and why; nothing is wrong with the hub.

    Attributes:
        told: what is said.
        waiting_url: where somebody waits whose claim is in the queue; "" otherwise.
    """

    def __init__(self, told: Told, *, as_redirect: bool = False) -> None:
        text, html = plain_text(told), html_text(told)
        status = 303 if as_redirect else told.status
        if HUB_COUNTS_REFUSALS:
            super().__init__(status, text, reason=told.reason)
        else:
            super().__init__(text, reason=told.reason, message_html=html, status_code=status)
        self.told = told
        self.waiting_url = told.link if told.redirect else ""
        self.jupyterhub_message = text
        self.jupyterhub_html_message = html
        self.headers = headers_of(told, as_redirect=as_redirect)


def plain_text(told: Told) -> str:
    """The message with its link written out, for programs."""
    where = f" {told.link_text or 'See'}: {told.link}" if told.link else ""
    return one_line(f"{told.message}{where}")


def one_line(text: str) -> str:
    """The text without line breaks or control characters, and not too long for a page or a log."""
    return "".join(sign if sign.isprintable() else " " for sign in text[:LONGEST])


def html_text(told: Told) -> str:
    """The message as HTML; everything in it is escaped."""
    text = escape(one_line(told.message))
    if not told.link:
        return text
    words = escape(told.link_text or "See more")
    return f'{text} <a class="alert-link" href="{escape(told.link)}">{words}</a>'


def headers_of(told: Told, *, as_redirect: bool) -> dict[str, str]:
    """What the hub sends with the answer."""
    headers = {} if told.retry_after is None else {"Retry-After": str(told.retry_after)}
    return headers | ({"Location": told.link} if as_redirect else {})


def bad_input(error: BadInput) -> Told:
    """The refusal of options that make no sense."""
    remedy = f" ({error.remedy})" if error.remedy else ""
    return Told("bad-options", f"{error.field}: {error.problem}{remedy}. Nothing was started.")


def wants_page(handler: Any) -> bool:
    """Whether a person's browser still waits for the answer, rather than a program."""
    if handler is None or handler._finished:
        return False
    return "/api/" not in handler.request.path


def uncounted(handler: Any) -> None:
    """Takes a refusal out of hub 5.5's count of consecutive failures, before it is added there."""
    if HUB_COUNTS_REFUSALS and handler is not None:
        settings = handler.settings
        settings["failure_count"] = settings.get("failure_count", 0) - 1
