"""Tells open pages in this process that something changed: one mailbox for each open stream."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

NOTICES_KEPT: Final = 20  # for one user: what a person reads at most after an absence
OPERATORS: Final = ""  # the user whose messages every operator is told
USERS_KEPT: Final = 10_000  # users whose notices are remembered; the longest silent go first


@dataclass(frozen=True, slots=True)
class Notice:
    """A message for one user. Numbers grow, so that a reader can ask for what came later.

    Attributes:
        told: when, in seconds of this process's monotonic clock: `age` says how long ago.
    """

    number: int
    event: str
    text: str
    lease_id: str = ""
    told: float = 0.0

    @property
    def age(self) -> float:
        """For how many seconds it has been there."""
        return time.monotonic() - self.told


@dataclass(slots=True, eq=False)
class Mailbox:
    """What one open stream has not been told yet. It never holds more than one of each topic.

    Attributes:
        user: whose stream it is.
        all_users: True for an operator's: it is told of others' leases, and what `OPERATORS` are.
    """

    user: str
    all_users: bool = False
    topics: set[str] = field(default_factory=set)
    notices: deque[Notice] = field(default_factory=lambda: deque(maxlen=NOTICES_KEPT))
    ready: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self) -> tuple[list[str], list[Notice]]:
        """All that is new, and nothing is new any more."""
        topics, notices = sorted(self.topics), list(self.notices)
        self.topics.clear()
        self.notices.clear()
        self.ready.clear()
        return topics, notices


class EventBus:
    """A Notifier for one process. Nothing blocks it: a reader that is slow misses repeats only."""

    def __init__(self) -> None:
        self._open: set[Mailbox] = set()
        self._notices: OrderedDict[str, deque[Notice]] = OrderedDict()
        self._number = 0

    def changed(self, topic: str, user: str = "") -> None:
        """Something of ``inventory``, ``queue`` or ``leases`` changed, for all or one user."""
        for box in self._open:
            if not user or box.all_users or box.user == user:
                box.topics.add(topic)
                box.ready.set()

    def tell(self, user: str, event: str, text: str, lease_id: str = "") -> None:
        """A message for one user, or for `OPERATORS`; kept for when they look next."""
        self._number += 1
        notice = Notice(self._number, event, text, lease_id, time.monotonic())
        self._remember(user, notice)
        for box in self._open:
            if box.user == user or (user == OPERATORS and box.all_users):
                box.notices.append(notice)
                box.ready.set()

    def notices(self, user: str, after: int = 0, *, operator: bool = False) -> list[Notice]:
        """What a user was told lately, and with them all operators, oldest first."""
        names = {user, OPERATORS} if operator else {user}
        told = [row for name in names for row in self._notices.get(name, ()) if row.number > after]
        return sorted(told, key=lambda row: row.number)

    @contextmanager
    def opened(self, user: str, *, all_users: bool = False) -> Iterator[Mailbox]:
        """A mailbox for one stream, as long as it is open."""
        box = Mailbox(user, all_users)
        self._open.add(box)
        try:
            yield box
        finally:
            self._open.discard(box)

    def wake_all(self) -> None:
        """Let every stream look around: it is to end."""
        for box in self._open:
            box.ready.set()

    def streams(self, user: str | None = None) -> int:
        """How many streams are open, of one user or of all."""
        return sum(1 for box in self._open if user is None or box.user == user)

    def _remember(self, user: str, notice: Notice) -> None:
        kept = self._notices.setdefault(user, deque(maxlen=NOTICES_KEPT))
        kept.append(notice)
        self._notices.move_to_end(user)
        if len(self._notices) > USERS_KEPT:
            self._notices.popitem(last=False)
