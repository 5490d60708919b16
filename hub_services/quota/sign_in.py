"""JupyterHub's sign-in for this service: answers kept briefly, and one question at a time."""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final

from jupyterhub.services.auth import HubOAuth
from tornado.web import HTTPError

FRESH: Final = 30.0  # seconds until a right that was taken away is gone here too
STRANGE: Final = 5.0  # seconds that nobody is known by a credential
BELIEVED: Final = 300.0  # seconds that the last answer holds while the hub does not answer
KEPT: Final = 10_000  # credentials remembered at most
Model = dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class _Answer:
    model: Model
    at: float

    @property
    def fresh(self) -> bool:
        """Whether the hub need not be asked again; a stranger may have just been made known."""
        return time.monotonic() - self.at < (FRESH if self.model else STRANGE)


class HubSignIn(HubOAuth):
    """HubOAuth whose cache is short and bounded, and bridges a restart of the hub."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._answers: OrderedDict[str, _Answer] = OrderedDict()
        self._asking: dict[str, asyncio.Task[Model]] = {}
        self._knew_us = -math.inf

    def user_for_token(
        self, token: str, use_cache: bool = True, session_id: str = "", *, sync: bool = True
    ) -> Any:
        """The owner of a token, as the hub says; an awaitable unless `sync`."""
        if sync:
            return super().user_for_token(token, use_cache, session_id, sync=True)
        return self._known_or_asked(token, session_id, use_cache=use_cache)

    def get_next_url(self, state_id: str = "", /) -> str:
        """Where to go after signing in: always a place of this service."""
        wanted = str(super().get_next_url(state_id))
        return wanted if wanted.startswith(self.base_url) else str(self.base_url)

    async def _known_or_asked(self, token: str, session_id: str, *, use_cache: bool) -> Model:
        key = hashlib.sha256(f"{session_id}:{token}".encode("utf8", "replace")).hexdigest()
        known = self._answers.get(key)
        if use_cache and known and known.fresh:
            return known.model
        if key not in self._asking:
            task = asyncio.create_task(self._ask(token, session_id, key))
            self._asking[key] = task
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        return await asyncio.shield(self._asking[key])

    async def _ask(self, token: str, session_id: str, key: str) -> Model:
        try:
            model: Model = await super().user_for_token(token, False, session_id, sync=False)
            if model is None:
                await self._see_that_the_hub_knows_us()
        except HTTPError:
            return self._last_answer(key)
        self._answers[key] = _Answer(model, time.monotonic())
        self._answers.move_to_end(key)
        if len(self._answers) > KEPT:
            self._answers.popitem(last=False)
        return model

    async def _see_that_the_hub_knows_us(self) -> None:
        """A hub whose database takes nothing says of everybody that it does not know them.

        Raises:
            HTTPError: it says so of this service too.
        """
        if time.monotonic() - self._knew_us < STRANGE:
            return
        if await super().user_for_token(self.api_token, False, sync=False) is None:
            raise HTTPError(503, "the hub knows nobody")
        self._knew_us = time.monotonic()

    def _last_answer(self, key: str) -> Model:
        """What the hub said last of a credential, where that is not long ago.

        Raises:
            HTTPError: it is, so nobody can say whose the credential is.
        """
        known = self._answers.get(key)
        if known is None or time.monotonic() - known.at > BELIEVED:
            raise HTTPError(503, "the hub does not answer")
        return known.model
