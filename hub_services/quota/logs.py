"""What the service writes to its log, and what never gets there."""

from __future__ import annotations

import logging
import re
import sys
from typing import Final

FORMAT: Final = "%(asctime)s %(levelname).1s %(name)s %(message)s"
QUIET: Final = ("alembic", "tornado.application", "tornado.general")
CREDENTIAL: Final = re.compile(
    r"(?i)(authorization\W{1,4}(?:(?:bearer|token|ticket)\s+)?|[?&](?:token|ticket|_xsrf)=)"
    r"[^\s'\"&]+"
)


class Discreet(logging.Formatter):
    """Takes credentials out of every line, also out of those that others write."""

    def format(self, record: logging.LogRecord) -> str:
        """Logging's: the record's lines, traces too."""
        return CREDENTIAL.sub(r"\1[hidden]", super().format(record))


def write_to_stderr(level: str) -> None:
    """Log from now on; the libraries below us only when something is wrong.

    JupyterHub's sign-in code logs under tornado's name, at INFO with ids of sessions.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Discreet(FORMAT))
    logging.basicConfig(level=level, handlers=[handler])
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
