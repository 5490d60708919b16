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


class Discreet(logging.Filter):
    """Takes credentials out of every line, also out of those that others write."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Logging's: always True, with the record's text made harmless."""
        text = record.getMessage()
        hidden = CREDENTIAL.sub(r"\1[hidden]", text)
        if hidden != text:
            record.msg, record.args = hidden, ()
        return True


def write_to_stderr(level: str) -> None:
    """Log from now on; the libraries below us only when something is wrong.

    JupyterHub's sign-in code logs under tornado's name, at INFO with ids of sessions.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(Discreet())
    handler.setFormatter(logging.Formatter(FORMAT))
    logging.basicConfig(level=level, handlers=[handler])
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
