"""One stream of events for one reader: what changed, beats between, and an end with its rights."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast

from jupyterhub.services.auth import UserNotAllowed
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError

from hub_services.quota.api import ApiRequest
from hub_services.quota.identity import identity_of
from hub_services.quota.problems import Problem
from mlhub.adapters.notify import Mailbox, Notice

TOPICS: Final = ("inventory", "leases", "queue")
MOST_STREAMS: Final = 20  # of one user; a browser needs one
PAUSE: Final = 0.25  # seconds between two messages, so that a storm of changes is one of them
PATIENCE: Final = 10.0  # seconds that a reader may take to accept a message
HEADERS: Final = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",  # a proxy in front passes each message on at once
}


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How often a stream does what.

    Attributes:
        beat: seconds of silence at most.
        check: seconds between two looks at the reader's rights.
        known: seconds that a user counts as there, for all streams that began with a ticket.
    """

    beat: float = 15.0
    check: float = 60.0
    known: float = 60.0


class Events(ApiRequest):
    """GET /events: tells one reader what changed, as long as they may know."""

    _box: Mailbox | None = None
    _gone = False
    _until: datetime | None = None  # when the ticket is over that the stream began with

    async def get(self, **path: str) -> None:
        """Carry it out; it returns when the stream is over."""
        route = self.routes["GET"]
        await self.let_in(route)
        self.call(route, path)
        ticket = self.ticket(self.service.now())
        self._until = ticket[1] if ticket else None
        bus, who = self.service.bus, self.who
        if bus.streams(who.name) >= MOST_STREAMS:
            text = f"You have {MOST_STREAMS} streams open; close some of your pages."
            facts = {"limit": MOST_STREAMS, "used": MOST_STREAMS, "unit": "streams"}
            raise Problem(429, "too-many-streams", text, facts=facts, retry_after=30)
        for name, value in HEADERS.items():
            self.set_header(name, value)
        with bus.opened(who.name, all_users=who.operator) as box:
            self._box = box
            self._catch_up(box)
            await self._tell(box, self.settings["rhythm"])

    def on_connection_close(self) -> None:
        """Tornado's: the reader went away."""
        self._gone = True
        if self._box is not None:
            self._box.ready.set()
        super().on_connection_close()

    def _catch_up(self, box: Mailbox) -> None:
        """Begin with what the reader missed: they fetch everything once, and read old notices."""
        box.topics.update(TOPICS)
        box.ready.set()
        seen = self.request.headers.get("Last-Event-ID", "")
        if seen.isdecimal() and len(seen) < 16:
            missed = self.service.bus.notices(
                self.who.name, after=int(seen), operator=self.who.operator
            )
            box.notices.extend(missed)

    async def _tell(self, box: Mailbox, rhythm: Rhythm) -> None:
        text, checked = "retry: 3000\n\n", time.monotonic()
        # Whom the hub has is remembered for all of a user's streams: at a beat nothing is asked.
        every = min(rhythm.beat, rhythm.check) if self.who.ticket else rhythm.check
        while not self._over() and await self._send(text):
            text = await _next(box, rhythm.beat)
            if time.monotonic() - checked >= every:
                checked = time.monotonic()
                if not await self._still_entitled(rhythm):
                    return
            await asyncio.sleep(PAUSE)

    def _over(self) -> bool:
        return self._gone or self.service.closing.is_set() or self.ticket_is_over()

    def ticket_is_over(self) -> bool:
        """Whether the stream began with a ticket that is not good any more."""
        return self._until is not None and self.service.now() >= self._until

    async def _send(self, text: str) -> bool:
        """Write to the reader; False when they are gone, or too slow to keep for."""
        try:
            self.write(text)
            await asyncio.wait_for(self.flush(), PATIENCE)
        except StreamClosedError:
            return False
        except TimeoutError:
            cast(Any, self.request.connection).stream.close()
            return False
        return True

    async def _still_entitled(self, rhythm: Rhythm) -> bool:
        """Whether the reader may still see what they could see when the stream began."""
        if self.who.ticket:
            word, hub = self.service.hub_word, self.service.broker.hub
            return await word.has(hub, self.who.user, keep=rhythm.known)
        try:
            model = await self.hub_auth.user_for_token(
                self.hub_auth.get_token(self) or "",
                use_cache=False, session_id=self.hub_auth.get_session_id(self), sync=False,
            )  # fmt: skip
            if not model or not self.check_hub_user(model):
                return False
        except (HTTPError, UserNotAllowed):
            return False
        by_token = getattr(self, "_token_authenticated", False)
        return identity_of(model, by_cookie=not by_token) == self.who


async def _next(box: Mailbox, beat: float) -> str:
    """What the reader is told next: what is new, or that the stream lives."""
    try:
        await asyncio.wait_for(box.ready.wait(), beat)
    except TimeoutError:
        return ": beat\n\n"
    topics, notices = box.take()
    return "".join([*map(_topic, topics), *map(_notice, notices)]) or ": beat\n\n"


def _topic(name: str) -> str:
    return f"event: {name}\ndata: {{}}\n\n"


def _notice(notice: Notice) -> str:
    told = {"text": notice.text, "lease_id": notice.lease_id, "event": notice.event}
    return f"id: {notice.number}\nevent: notice\ndata: {json.dumps(told)}\n\n"
