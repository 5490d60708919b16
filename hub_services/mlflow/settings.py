"""What the MLflow service reads from its environment, checked once at the start."""

import os
import secrets
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlparse

from mlhub import private_files

GIB = 2**30
JSON_LIMIT = 32 * 2**20
"""Bytes of a request that MLflow or the proxy must hold in memory (everything but artifacts)."""

UPLOAD_LIMIT_GIB = 100
COOKIE_SECRET_BYTES = 32
SOCKET_PATH_LIMIT = 100  # Linux allows 107 bytes for the path of a unix socket


class SettingsError(Exception):
    """The service cannot start; the message names the variable and the remedy."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the service listens, where it keeps its state, and its limits.

    Attributes:
        host: address to listen on, given by the hub.
        port: port to listen on.
        prefix: path of the service under the hub, with slashes at both ends.
        state: directory of mode 700 for database, artifacts and cookie secret.
        socket: unix socket of MLflow's own server, in a directory of mode 700.
        backend_uri: SQLAlchemy address of MLflow's database; may hold a password.
        artifacts: directory or bucket where artifacts are kept.
        upload_limit: largest artifact, in bytes.
    """

    host: str
    port: int
    prefix: str
    state: Path
    socket: Path
    backend_uri: str
    artifacts: str
    upload_limit: int


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Read the hub's and mlhub's variables and make the private directories.

    Raises:
        SettingsError: if a variable is missing or wrong.
        OSError: if the state directory cannot be made.
    """
    state = private(Path(needed(environment, "MLHUB_HOME")) / "mlflow")
    host, port = address(needed(environment, "JUPYTERHUB_SERVICE_URL"))
    return Settings(
        host=host,
        port=port,
        prefix="/" + environment.get("JUPYTERHUB_SERVICE_PREFIX", "/").strip("/") + "/",
        state=state,
        socket=socket_path(state),
        backend_uri=backend_uri(environment) or f"sqlite:///{state / 'mlflow.db'}",
        artifacts=environment.get("MLHUB_MLFLOW_ARTIFACTS") or str(private(state / "artifacts")),
        upload_limit=upload_limit(environment),
    )


def needed(environment: Mapping[str, str], name: str) -> str:
    """A variable that must not be empty."""
    value = environment.get(name, "")
    if not value:
        raise SettingsError(f"{name} is not set: run this as a service of JupyterHub with it set")
    return value


def address(url: str) -> tuple[str, int]:
    """Host and port of the address that the hub gave the service."""
    parsed = urlparse(url)
    if parsed.scheme != "http" or not parsed.hostname or not parsed.port:
        raise SettingsError(f"JUPYTERHUB_SERVICE_URL={url!r}: give http://127.0.0.1:PORT")
    return parsed.hostname, parsed.port


def private(directory: Path) -> Path:
    """Make a directory of mode 700, or make an existing one so."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.chmod(0o700)
    return directory


def socket_path(state: Path) -> Path:
    """A path for MLflow's socket that the kernel takes: beside the state, or in a new directory."""
    path = private(state / "run") / "mlflow.sock"
    if len(os.fsencode(path)) <= SOCKET_PATH_LIMIT:
        return path
    return Path(tempfile.mkdtemp(prefix="mlhub-mlflow-")) / "mlflow.sock"


def backend_uri(environment: Mapping[str, str]) -> str | None:
    """The configured database, from a file (it may hold a password) or a variable."""
    file = environment.get("MLHUB_MLFLOW_BACKEND_URI_FILE")
    if file:
        return Path(file).read_text(encoding="utf-8").strip()
    return environment.get("MLHUB_MLFLOW_BACKEND_URI")


def upload_limit(environment: Mapping[str, str]) -> int:
    """Largest artifact in bytes; ``MLHUB_MLFLOW_UPLOAD_LIMIT_GIB`` is in GiB."""
    name = "MLHUB_MLFLOW_UPLOAD_LIMIT_GIB"
    text = environment.get(name) or str(UPLOAD_LIMIT_GIB)
    try:
        limit = float(text)
    except ValueError:
        limit = 0
    if not 0 < limit < 2**20:
        raise SettingsError(f"{name}={text!r}: give a positive number of GiB, for example 100")
    return int(limit * GIB)


def cookie_secret(state: Path) -> bytes:
    """The secret that signs this service's cookies: made at the first start, mode 600.

    Raises:
        SettingsError: its file cannot be made, or is empty, too short or open to others.
    """
    path = state / "cookie-secret"
    (state / "cookie_secret").unlink(missing_ok=True)  # an older version's, which signs no more
    try:
        made = private_files.kept(
            path, lambda: secrets.token_hex(COOKIE_SECRET_BYTES), shortest=COOKIE_SECRET_BYTES
        )
        return made.encode()
    except private_files.Unusable as error:
        raise SettingsError(f"{error.problem}: {error.remedy}") from error
