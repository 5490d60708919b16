"""Log files of the supervised processes: opened for appending, cut before they grow too large."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LARGEST = 10_000_000  # bytes
KEPT = 5

log = logging.getLogger(__name__)


def open_log(path: Path) -> int:
    """Opens a log for a process to append to; gives the descriptor, for its caller to close."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """Opens a log, or nothing in its place: a process that people need is started all the same."""
    try:
        descriptor = open_log(path)
    except OSError as error:
        log.warning("%s cannot be opened (%s): nothing is logged there", path, error.strerror)
        descriptor = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def rotate(path: Path, *, largest: int = LARGEST, kept: int = KEPT) -> bool:
    """Moves a log's content aside once it is large.

    The file stays the same file, because the process that writes it holds it open: its content
    is copied and then cut. What is written between the two is lost, a few lines at most.

    Args:
        path: The log.
        largest: Bytes from which on it is moved aside.
        kept: How many older parts remain, `.1` being the latest.

    Returns:
        Whether it was.
    """
    if not path.exists() or path.stat().st_size < largest:
        return False
    for number in range(kept - 1, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        if older.exists():
            older.replace(path.with_name(f"{path.name}.{number + 1}"))
    latest = path.with_name(f"{path.name}.1")
    shutil.copyfile(path, latest)
    latest.chmod(0o600)
    os.truncate(path, 0)
    return True


def tail(path: Path, *, lines: int = 12, reach: int = 16_384) -> list[str]:
    """Reads the last lines of a log.

    Args:
        path: The log.
        lines: How many at most.
        reach: How many bytes from its end are looked at.
    """
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - reach))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    return text.splitlines()[-lines:]
