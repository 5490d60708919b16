"""What is costly to find out: asked once for many, and told again for a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Found = TypeVar("Found")


class Lately(Generic[Found]):
    """The last answer to one question, while it is younger than `keep` seconds."""

    def __init__(self, keep: float) -> None:
        self.keep = keep
        self._answer: tuple[Found, float] | None = None
        self._one = asyncio.Lock()

    async def get(self, find: Callable[[], Awaitable[Found]]) -> Found:
        """The answer; who asks while another one finds out waits for that."""
        async with self._one:
            if self._answer is None or time.monotonic() - self._answer[1] >= self.keep:
                self._answer = (await find(), time.monotonic())
            return self._answer[0]
