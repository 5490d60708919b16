"""Secrets that the settings point to: read from a file or the environment, and judged."""

import os
import secrets
from pathlib import Path

from mlhub import private_files
from mlhub.core.errors import BadInput
from mlhub.provider_settings import SecretReference

SHORTEST_SECRET = 12
KEY_BYTES = 32
KNOWN_DEFAULTS = frozenset(
    {
        "admin",
        "changeit",
        "changeme",
        "changemenow",
        "changethis",
        "changethissecret",
        "clientsecret",
        "clientsecrethere",
        "default",
        "example",
        "examplesecret",
        "insertsecrethere",
        "jupyterhub",
        "myclientsecret",
        "mysecret",
        "none",
        "null",
        "oauthsecret",
        "password",
        "placeholder",
        "replaceme",
        "secret",
        "secretsecret",
        "supersecret",
        "test",
        "testsecret",
        "topsecret",
        "yourclientsecret",
        "yourclientsecrethere",
        "yoursecret",
    }
)


def read_secret(
    reference: SecretReference, setting: str, *, shortest: int = SHORTEST_SECRET
) -> str:
    """Reads a secret.

    Args:
        reference: Where it is.
        setting: The path of the setting, for the error.
        shortest: Characters that it has at least.

    Raises:
        BadInput: it is missing, open to others, empty, short, or a well-known default.
    """
    value = _from_file(reference.file, setting) if reference.file else _from_env(reference, setting)
    if not value:
        raise BadInput(setting, "the secret is empty", "put the provider's secret there")
    if _letters(value) in KNOWN_DEFAULTS or len(set(value)) == 1:
        raise BadInput(setting, "the secret is a well-known default", "use the provider's own")
    if len(value) < shortest:
        raise BadInput(setting, f"the secret has less than {shortest} characters", "make a new one")
    return value


def _letters(value: str) -> str:
    return "".join(character for character in value.lower() if character.isalnum())


def _from_env(reference: SecretReference, setting: str) -> str:
    name = reference.env or ""
    if name not in os.environ:
        raise BadInput(f"{setting}.env", f"the hub has no environment variable {name}", "set it")
    return os.environ[name].strip()


def _from_file(path: Path, setting: str) -> str:
    try:
        return private_files.read(path, remedy="put the secret there")
    except private_files.Unusable as error:
        raise BadInput(f"{setting}.file", error.problem, error.remedy) from error


def kept_key(path: Path) -> str:
    """Reads a 256-bit key in hexadecimal, and makes it first if there is none.

    Raises:
        BadInput: its file cannot be made or used.
    """
    try:
        return private_files.kept(path, lambda: secrets.token_hex(KEY_BYTES), shortest=KEY_BYTES)
    except private_files.Unusable as error:
        raise BadInput("authentication", error.problem, error.remedy) from error
