"""TensorBoard on a unix socket: its own program with another server class.

TensorBoard's fast loader is a second process that serves all data on a TCP port without any
login, so the loader inside the process (``--load_fast false``) is used instead.
"""

import os
import signal
import sys
import threading
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tensorboard import program
from werkzeug import serving


class KeepAliveHandler(serving.WSGIRequestHandler):
    """Requests over one connection after another; TensorBoard always names a length."""

    protocol_version = "HTTP/1.1"

    def address_string(self) -> str:
        """Callers of a unix socket have no address."""
        return "unix"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Quiet: the notebook server logs each request with its user already."""


class UnixSocketServer(serving.ThreadedWSGIServer, program.TensorBoardServer):  # type: ignore[misc]
    """Serves TensorBoard's WSGI app on the socket that ``--host unix://…`` names."""

    daemon_threads = True

    def __init__(self, wsgi_app: Callable[..., Any], flags: Namespace) -> None:
        self._url = str(flags.host)
        previous = os.umask(0o177)  # the socket itself is for its owner alone, too
        try:
            super().__init__(flags.host, 0, wsgi_app, KeepAliveHandler)
        finally:
            os.umask(previous)

    def get_url(self) -> str:
        """Where this server listens."""
        return self._url


def launch(socket: Path, logdir: str) -> str:
    """Start TensorBoard in a thread of its own.

    Args:
        socket: path of the socket to make; a stale one is replaced.
        logdir: directory whose event files are shown; it may appear later.

    Returns:
        The address, ``unix://…``.
    """
    socket.unlink(missing_ok=True)
    board = program.TensorBoard(server_class=UnixSocketServer)
    options = ["--host", f"unix://{socket}", "--load_fast", "false", "--logdir", logdir]
    board.configure(argv=["tensorboard", *options])
    return str(board.launch())


def main(arguments: list[str]) -> None:
    """Serve until a signal says stop."""
    socket, logdir = arguments
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    launch(Path(socket), logdir)
    stop.wait()


if __name__ == "__main__":
    main(sys.argv[1:])
