"""Start a program that ends when the server that started it ends, even if that one is killed."""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """Ask the kernel to send this process SIGTERM when its parent ends.

    Args:
        parent: process id that the parent had; if it is gone already, this process ends too.

    Raises:
        OSError: if the kernel refuses (it is Linux's prctl; other systems have none).
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:
        sys.exit(0)


def command(*words: str) -> list[str]:
    """The command line that runs these words as a child of the calling process."""
    return [sys.executable, "-m", "mlhub.singleuser.child", str(os.getpid()), *words]


def main(arguments: list[str]) -> None:
    """Become the program named after the parent's process id; does not return."""
    parent, *words = arguments
    die_with(int(parent))
    os.execvp(words[0], words)  # noqa: S606 - no shell: the words are a list of the tile's own


if __name__ == "__main__":
    main(sys.argv[1:])
