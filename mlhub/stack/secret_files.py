"""The secrets by which the parts of the stack know each other, in files that only we can read."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from mlhub.stack.problems import StackProblem

PROXY_TOKEN = "proxy-token"  # noqa: S105 - the name of a file, not its content
COOKIE_SECRET = "cookie-secret"  # noqa: S105
CRYPT_KEY = "crypt-key"
QUOTA_TOKEN = "quota-token"  # noqa: S105
MLFLOW_TOKEN = "mlflow-token"  # noqa: S105
SPAWNER_TOKEN = "spawner-token"  # noqa: S105
STACK_TOKEN = "stack-token"  # noqa: S105
OPERATOR_TOKEN = "operator-token"  # noqa: S105

SHORTEST = 16


def hex_key() -> str:
    """Makes a 256-bit key in hexadecimal, as JupyterHub reads cookie secrets and tokens."""
    return secrets.token_hex(32)


EVERY = (
    PROXY_TOKEN,
    COOKIE_SECRET,
    CRYPT_KEY,
    QUOTA_TOKEN,
    MLFLOW_TOKEN,
    SPAWNER_TOKEN,
    STACK_TOKEN,
    OPERATOR_TOKEN,
)


def make_missing(directory: Path) -> set[str]:
    """Makes every secret that does not exist yet.

    Args:
        directory: The private directory that holds them.

    Returns:
        The names of those that were made now.

    Raises:
        StackProblem: a file that is there is empty, too short or open to others.
    """
    made = set()
    for name in EVERY:
        if (directory / name).exists():
            read(directory, name)
        else:
            write(directory / name, hex_key())
            made.add(name)
    return made


def write(path: Path, secret: str) -> None:
    """Writes a secret so that no other OS user can read it, not even for a moment."""
    unfinished = path.with_name(f".{path.name}.new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{secret}\n")
    unfinished.rename(path)


def read(directory: Path, name: str) -> str:
    """Reads a secret.

    Raises:
        StackProblem: the file is missing, empty, too short or open to others.
    """
    path = directory / name
    try:
        mode, secret = path.stat().st_mode, path.read_text().strip()
    except OSError as error:
        raise StackProblem(
            f"The secret {path} cannot be read: {error.strerror}",
            remedy="Start the stack with `mlhub up`, which makes what is missing.",
        ) from error
    if mode & 0o077:
        raise StackProblem(
            f"The secret {path} is open to other OS users",
            remedy=f"Close it with `chmod 600 {path}`, or delete it to have a new one made.",
        )
    if len(secret) < SHORTEST:
        raise StackProblem(
            f"The secret {path} is empty or shorter than {SHORTEST} characters",
            remedy="Delete it to have a new one made.",
        )
    return secret
