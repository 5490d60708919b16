"""How many wrong passwords in a row are heard before a wait."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable

WINDOW_SECONDS = 60.0
MOST_KEYS = 10_000


class WrongTries:
    """Counts wrong tries within the last minute, for each name.

    Args:
        most: Wrong tries in a minute; the next one waits.
        clock: Monotonic seconds.
    """

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._tries: OrderedDict[str, deque[float]] = OrderedDict()

    def wait_seconds(self, key: str) -> int:
        """Says how many seconds until the next try is heard; 0: now."""
        tries = self._tries.get(key)
        if not tries:
            return 0
        now = self._clock()
        while tries and now - tries[0] >= WINDOW_SECONDS:
            tries.popleft()
        return 0 if len(tries) < self._most else int(WINDOW_SECONDS - (now - tries[0])) + 1

    def wrong(self, key: str) -> None:
        """Counts a wrong try."""
        self._tries.setdefault(key, deque(maxlen=self._most)).append(self._clock())
        self._tries.move_to_end(key)
        if len(self._tries) > MOST_KEYS:
            self._tries.popitem(last=False)

    def right(self, key: str) -> None:
        """Forgets the wrong tries after a right one."""
        self._tries.pop(key, None)
