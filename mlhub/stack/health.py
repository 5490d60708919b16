"""Whether a part that runs still answers: notices one that hangs, which no exit code tells."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a part may be silent.

    Asks are counted, not seconds: a machine or a stack that was suspended itself blames nobody.

    Attributes:
        every_s: Seconds between an answer, or the lack of one, and the next ask.
        within_s: Seconds in which an answer is waited for.
        asks: How many asks in a row may go unanswered before a part counts as hung.
    """

    every_s: float = 5.0
    within_s: float = 10.0
    asks: int = 3

    @property
    def longest_s(self) -> float:
        """Seconds of silence after which a part counts as hung at the latest."""
        return (self.every_s + self.within_s) * self.asks


async def answers(url: str, *, within_s: float) -> bool:
    """Tells whether a process answers at all: an answer that says "error" is one, too."""
    limit = aiohttp.ClientTimeout(total=within_s)
    try:
        async with (
            aiohttp.ClientSession(timeout=limit) as session,
            session.get(url, allow_redirects=False),
        ):
            return True
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False


async def until_hung(url: str, patience: Patience, heard: Callable[[bool], None]) -> None:
    """Returns when a part that has answered does so no longer.

    A part that has not answered yet is starting, be it for long: it is never called hung.

    Args:
        url: What it is asked for.
        patience: How long it may be silent.
        heard: Is told after each ask whether it was answered, once the part had answered.
    """
    missed, came = 0, False
    while missed < patience.asks:
        await asyncio.sleep(patience.every_s)
        there = await answers(url, within_s=patience.within_s)
        came = came or there
        missed = 0 if there or not came else missed + 1
        if came:
            heard(there)
