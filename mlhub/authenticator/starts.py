"""One start of a server at a time: who presses Start twice is told so, in words.

Before a start the hub looks its user up again and waits for that. A second start that comes
meanwhile would end as an internal error of the hub.
"""

import re
from typing import Any, Final
from urllib.parse import unquote
from weakref import WeakValueDictionary

from tornado import web

ADDRESS: Final = re.compile(
    r"/(?:api/users/(?P<owner>[^/]+)/(?:server|servers/(?P<named>[^/]*))"
    r"|spawn(?:/(?P<person>[^/]+)(?:/(?P<formed>[^/]+))?)?)/?"
)


class AlreadyStartingError(web.HTTPError):
    """The refusal of a second start; its text is what the person reads."""

    def __init__(self) -> None:
        text = "This server is being started already. Wait until it is up; nothing else was done."
        super().__init__(409, text)
        self.jupyterhub_message = text


class Starts:
    """Remembers, for each server, the request that is starting it."""

    def __init__(self) -> None:
        self._under_way: WeakValueDictionary[tuple[str, str], web.RequestHandler] = (
            WeakValueDictionary()
        )

    def begin(self, user: str, handler: Any) -> None:
        """Notes a request that is about to start a server; others pass.

        The hub looks up who asks as well as whose server it is: an administrator who starts
        somebody else's starts none of their own.

        Args:
            user: Who is looked up.
            handler: The request; None when it is not known.

        Raises:
            AlreadyStartingError: another request is about to start that very server.
        """
        meant = server_of(handler)
        if meant is None or (meant[0] or user) != user:
            return
        server = meant[1]
        first = self._under_way.get((user, server))
        if first is not None and first is not handler and not first._finished:
            raise AlreadyStartingError
        self._under_way[user, server] = handler


def server_of(handler: Any) -> tuple[str, str] | None:
    """Whose server a request would start, "" for the asker's own, and its name; None for none."""
    request = getattr(handler, "request", None)
    if request is None or request.method != "POST":
        return None
    prefix = handler.hub.base_url.rstrip("/")
    found = ADDRESS.fullmatch(request.path.removeprefix(prefix))
    if found is None:
        return None
    owner, name = found["owner"] or found["person"], found["named"] or found["formed"]
    return unquote(owner or ""), unquote(name or "")
