"""What the stack asks of the hub while it watches over it; all of it may fail without harm."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import aiohttp

from mlhub.stack import secret_files
from mlhub.stack.home import Home
from mlhub.stack.problems import StackProblem
from mlhub.stack.wiring import Wiring

EACH_S = 10.0
POLL_S = 0.2

log = logging.getLogger(__name__)


async def answers(url: str, *, below: int = 500) -> bool:
    """Tells whether a page is there: any answer below a status is one, after a redirect too."""
    limit = aiohttp.ClientTimeout(total=EACH_S)
    try:
        async with aiohttp.ClientSession(timeout=limit) as session, session.get(url) as answer:
            return answer.status < below
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False


async def wait_for(url: str, *, limit_s: float, below: int = 500) -> bool:
    """Waits until a page is there.

    Args:
        url: Its address.
        limit_s: Seconds after which to give up.
        below: The lowest status that does not count as an answer of that page.

    Returns:
        Whether it came.
    """
    deadline = time.monotonic() + limit_s
    while not await answers(url, below=below):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(POLL_S)
    return True


async def post(home: Home, wiring: Wiring, path: str, *, body: Any, limit_s: float) -> bool:
    """Posts to the hub's API with the stack's own token.

    Returns:
        Whether the hub did as asked.
    """
    limit = aiohttp.ClientTimeout(total=limit_s)
    try:
        token = secret_files.read(home.secrets, secret_files.STACK_TOKEN)
        headers = {"Authorization": f"token {token}"}
        async with (
            aiohttp.ClientSession(timeout=limit, headers=headers) as session,
            session.post(wiring.hub_api + path, json=body) as answer,
        ):
            return answer.ok
    except (aiohttp.ClientError, TimeoutError, OSError, StackProblem) as error:
        log.info("the hub did not answer %s: %s", path, type(error).__name__)
        return False


async def restore_routes(home: Home, wiring: Wiring, *, limit_s: float = 60.0) -> None:
    """Makes the hub tell a new proxy its routes; by itself it looks only every five minutes."""
    deadline = time.monotonic() + limit_s
    while not await post(home, wiring, "/proxy", body={}, limit_s=EACH_S):
        if time.monotonic() > deadline:
            log.warning("the hub could not be asked to restore the proxy's routes")
            return
        await asyncio.sleep(POLL_S)


async def shut_down(home: Home, wiring: Wiring) -> bool:
    """Asks the hub to stop every server and then itself.

    Returns:
        Whether it heard; it does not while it is still starting, or when it hangs.
    """
    body = {"servers": True, "proxy": False}
    return await post(home, wiring, "/shutdown", body=body, limit_s=EACH_S)
