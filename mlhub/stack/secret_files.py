"""The secrets by which the parts of the stack know each other, in files that only we can read."""

from __future__ import annotations

import secrets
from pathlib import Path

from mlhub import private_files
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
        StackProblem: one cannot be made, or is there and empty, too short or open to others.
    """
    return {name for name in EVERY if _made_now(directory / name)}


def _made_now(path: Path) -> bool:
    try:
        made = private_files.make_once(path, hex_key)
    except private_files.Unusable as error:
        raise _problem(error) from error
    read(path.parent, path.name)
    return made


def read(directory: Path, name: str) -> str:
    """Reads a secret.

    Raises:
        StackProblem: the file is missing, empty, too short or open to others.
    """
    try:
        return private_files.read(
            directory / name, shortest=SHORTEST, remedy=private_files.MADE_ANEW
        )
    except private_files.Unusable as error:
        raise _problem(error) from error


def _problem(error: private_files.Unusable) -> StackProblem:
    return StackProblem(f"The secret {error.problem}", remedy=f"What to do: {error.remedy}.")
