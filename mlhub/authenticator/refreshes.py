"""When what is known of a signed-in person is looked up again, and how long silence is borne."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable

JUST_NOW_SECONDS = 2.0


class Refreshes:
    """Remembers, for each user, the last look-up and since when the provider has been silent.

    A page of JupyterLab makes several requests at once; a provider that rotates refresh tokens
    would take two uses of one for theft. So look-ups of one user never overlap, and one that
    succeeded just now is not repeated.

    Args:
        grace: Seconds that a silent provider's people stay signed in.
        clock: Monotonic seconds.
    """

    def __init__(self, grace: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._grace = grace
        self._clock = clock
        self._done: dict[str, float] = {}
        self._silent_since: dict[str, float] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def turn(self, user: str) -> asyncio.Lock:
        """Gives the lock that a look-up of a user holds."""
        return self._locks[user]

    def just_done(self, user: str) -> bool:
        """Says whether a look-up succeeded within the last seconds."""
        done = self._done.get(user)
        return done is not None and self._clock() - done < JUST_NOW_SECONDS

    def succeeded(self, user: str) -> None:
        """Notes a look-up that the provider answered."""
        self._done[user] = self._clock()
        self._silent_since.pop(user, None)

    def silence_is_bearable(self, user: str) -> bool:
        """Notes a look-up without an answer; says whether the user may stay all the same."""
        since = self._silent_since.setdefault(user, self._clock())
        return self._clock() - since < self._grace

    def forget(self, user: str) -> None:
        """Drops what is remembered of a user who signs in anew or is gone."""
        self._done.pop(user, None)
        self._silent_since.pop(user, None)
