"""Asking for a lease with a key that survives a crash, and what each answer means."""

from __future__ import annotations

import hashlib
import json
import math
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from mlhub.client import (
    AskedTooOften,
    BrokerClient,
    ClaimAnswer,
    LeaseView,
    NoToken,
    Problem,
    Refused,
    ServiceUnavailable,
    Wish,
)
from mlhub.core.quantities import ordinal
from mlhub.profiles import Chosen, GpuAsk
from mlhub.spawner.refusals import Told

REASON: Final = re.compile(r"[a-z]+(-[a-z]+){0,5}")
SILENT: Final = Told(
    "service-away",
    "The GPU service does not answer; nothing was started. Try again in a minute, "
    "or start a server without a GPU now.",
    status=503,
    retry_after=60,
)
STRANGER: Final = Told(
    "service-away",
    "The GPU service does not know this hub; nothing was started. Tell the hub's administrator.",
    status=503,
)


@dataclass(slots=True)
class Claiming:
    """What a spawner remembers of its claim, in its state in the hub's database.

    Attributes:
        key: the idempotency key of an ask that has no answer yet; "" otherwise.
        asked: a digest of that ask: a key goes with one body only.
        lease: the lease that it holds, as far as the spawner needs it; empty otherwise.
    """

    key: str = ""
    asked: str = ""
    lease: dict[str, Any] = field(default_factory=dict)

    def state(self) -> dict[str, Any]:
        """For the hub's database."""
        found = {"key": self.key, "asked": self.asked, "lease": self.lease}
        return {name: value for name, value in found.items() if value}

    @classmethod
    def from_state(cls, state: object) -> Claiming:
        """What an earlier hub process wrote."""
        if not isinstance(state, Mapping):
            return cls()
        lease = state.get("lease")
        return cls(str(state.get("key", "")), str(state.get("asked", "")), dict(lease or {}))


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, for which server of theirs."""

    user: str
    groups: tuple[str, ...]
    server: str


def wish_of(asker: Asker, ask: GpuAsk, chosen: Chosen) -> Wish:
    """The claim of a choice that needs GPUs."""
    return Wish(
        flavor=ask.flavor,
        count=ask.count,
        server=asker.server,
        duration=chosen.duration,
        wait=chosen.wait,
        user=asker.user,
        groups=asker.groups,
        user_options=dict(chosen.options),
    )


async def obtain(
    client: BrokerClient, claiming: Claiming, wish: Wish, *, save: Callable[[], None]
) -> ClaimAnswer:
    """The service's answer to a claim; an answer that was lost is asked for again.

    Args:
        client: asks the service.
        claiming: is changed, and saved before the first ask.
        wish: the claim.
        save: writes the spawner's state to the hub's database.

    Raises:
        Refused: the claim was denied.
        ServiceUnavailable: no answer came; the key is kept for the next time.
    """
    digest = digest_of(wish)
    if claiming.key and claiming.asked == digest:
        answer = await _old_answer(client, claiming, wish)
        if answer is not None:
            return answer
    claiming.key, claiming.asked = secrets.token_urlsafe(24), digest
    save()
    return await _ask(client, claiming, wish)


def digest_of(wish: Wish) -> str:
    """What tells one claim from another."""
    body = json.dumps(wish.body(), sort_keys=True)
    return hashlib.sha256(body.encode()).hexdigest()[:32]


async def _ask(client: BrokerClient, claiming: Claiming, wish: Wish) -> ClaimAnswer:
    try:
        answer = await client.claim(wish, key=claiming.key)
    except Refused:
        claiming.key = claiming.asked = ""
        raise
    claiming.key = claiming.asked = ""
    return answer


async def _old_answer(client: BrokerClient, claiming: Claiming, wish: Wish) -> ClaimAnswer | None:
    """What was answered to an earlier ask, if it still holds: a place in the queue, a live lease.

    A repeat gets the answer of then, but what was refused then may be free now.
    """
    try:
        answer = await _ask(client, claiming, wish)
        if answer.state == "granted" and answer.lease is not None:
            lease = await client.lease(answer.lease.id)
            return answer if lease.target != "ended" else None
    except Refused:
        return None
    return answer if answer.state == "queued" else None


def kept_of(lease: LeaseView) -> dict[str, Any]:
    """What the spawner needs of its lease."""
    return {"id": lease.id, "devices": list(lease.devices), "simulated": lease.simulated}


def denial(problem: Problem) -> Told:
    """What to tell somebody whose claim was refused."""
    if not problem.state and problem.status in (401, 403):
        return STRANGER
    retry = 60 if problem.status == 503 else None
    text = problem.text if problem.text.endswith((".", ")")) else f"{problem.text}."
    return Told(
        problem.reason if REASON.fullmatch(problem.reason) else "denied",
        f"{text} Nothing was started.",
        status=problem.status,
        retry_after=retry,
    )


def unanswered(error: ServiceUnavailable | NoToken) -> Told:
    """What to tell somebody whose claim got no answer."""
    if not isinstance(error, AskedTooOften):
        return SILENT
    return Told(
        "too-many-requests",
        f"{error.why} No server was started.".lstrip(),
        status=429,
        retry_after=max(1, math.ceil(error.wait_s)),
    )


def queued(answer: ClaimAnswer, *, pages: str) -> Told:
    """What to tell somebody whose claim waits.

    Args:
        answer: to the claim.
        pages: the path of the quota service's pages, with a slash at its end.
    """
    place = f"You are {ordinal(answer.position)} in the queue." if answer.position else ""
    text = answer.message or place or "Your claim is in the queue."
    return Told(
        "queued",
        f"{text} Your server starts by itself when it is your turn.",
        status=503,
        link=f"{pages}waiting/{quote(answer.claim, safe='')}",
        link_text="Your place in the queue",
        redirect=True,
        retry_after=60,
    )
