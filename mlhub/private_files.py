"""Files that hold one secret, for their owner's eyes alone: made whole or not at all, and read."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

FOR_OTHERS: Final = 0o077
MADE_ANEW: Final = "delete what is there: the next start makes a new one"


class Unusable(Exception):
    """A private file that cannot be used.

    Attributes:
        problem: what is wrong, with the file's path.
        remedy: what to do about it; "" where that depends on what the file is for.
    """

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(f"{problem} ({remedy})" if remedy else problem)
        self.problem = problem
        self.remedy = remedy


def read(path: Path, *, shortest: int = 1, remedy: str = "") -> str:
    """Reads a secret, without the blanks around it.

    Args:
        path: Of its file.
        shortest: Characters that it has at least.
        remedy: What to do about a file without a secret in it.

    Raises:
        Unusable: the file is missing, no text, open to other OS users, empty or too short.
    """
    try:
        with path.open(encoding="utf-8") as file:
            mode, secret = os.fstat(file.fileno()).st_mode, file.read().strip()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise Unusable(f"{path} cannot be read: {why}", remedy) from error
    if stat.S_IMODE(mode) & FOR_OTHERS:
        raise Unusable(f"{path} is open to other OS users", f"chmod 600 {path}")
    if not secret:
        raise Unusable(f"{path} is empty", remedy)
    if len(secret) < shortest:
        raise Unusable(f"{path} has less than {shortest} characters", remedy)
    return secret


def kept(path: Path, make: Callable[[], str], *, shortest: int) -> str:
    """Reads a secret that is made first where there is none.

    Raises:
        Unusable: its file cannot be made, or is there and cannot be used: see `read`.
    """
    make_once(path, make)
    return read(path, shortest=shortest, remedy=MADE_ANEW)


def make_once(path: Path, make: Callable[[], str]) -> bool:
    """Makes a file of mode 600 unless there is one; of several processes one makes it.

    Whatever happens meanwhile, the file is there with its whole content, or not at all.

    Args:
        path: Of the file, in a directory that exists.
        make: Gives the secret.

    Returns:
        Whether it was made now.

    Raises:
        Unusable: it cannot be written.
    """
    if path.exists():
        return False
    try:
        return _link(path, make())
    except OSError as error:
        where = f"make room in {path.parent}, or let mlhub write there"
        raise Unusable(f"{path} cannot be made: {error.strerror}", where) from error


def _link(path: Path, secret: str) -> bool:
    """Writes the content beside the file's place and gives it the name in one step."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(f"{secret}\n")
            file.flush()
            os.fsync(descriptor)
        os.link(name, path)
    except FileExistsError:  # another process was faster
        return False
    finally:
        Path(name).unlink()
    return True
