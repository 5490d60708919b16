"""What is over, read beside the commits: on a connection and a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import Connection

from mlhub.adapters.sql.database import Database, once_more

R = TypeVar("R")


class Reader:
    """Reads committed rows while the ledger's own thread writes; nobody who claims waits for it."""

    def __init__(self, url: str) -> None:
        """Nothing is connected yet."""
        self._database = Database(url)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="history")

    def read(self, query: Callable[[Connection], R]) -> asyncio.Future[R]:
        """What a query finds.

        Raises:
            LedgerUnavailable: the database is away (from the future).
        """
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self._thread, lambda: once_more(lambda: self._read(query)))

    async def close(self) -> None:
        """Let go of the connection and the thread."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._database.close)
        self._thread.shutdown()

    def _read(self, query: Callable[[Connection], R]) -> R:
        with self._database.transaction(writes=False) as connection:
            return query(connection)
