"""MLflow's own server, on a unix socket: the process that the supervisor starts and restarts."""

import os
import sys
from pathlib import Path

import uvicorn
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

BACKEND_URI = "MLHUB_MLFLOW_CHILD_BACKEND_URI"
ARTIFACTS = "MLHUB_MLFLOW_CHILD_ARTIFACTS"
KEEP_ALIVE_SECONDS = 75  # longer than the proxy keeps an idle connection
ARTIFACT_ROOT = "mlflow-artifacts:/"


def configure(backend_uri: str, artifacts: str) -> None:
    """Tell MLflow's application where its data lies, as ``mlflow server`` does for its workers.

    Must be done before the application is imported, which reads these variables.
    """
    from mlflow.server import constants  # noqa: PLC0415 - read after the environment is set

    os.environ[constants.BACKEND_STORE_URI_ENV_VAR] = backend_uri
    os.environ[constants.ARTIFACT_ROOT_ENV_VAR] = ARTIFACT_ROOT
    os.environ[constants.ARTIFACTS_DESTINATION_ENV_VAR] = artifacts
    os.environ[constants.SERVE_ARTIFACTS_ENV_VAR] = "true"


def prepare_database(backend_uri: str) -> None:
    """Create or upgrade MLflow's tables, so that the first request finds them."""
    from mlflow.server.handlers import initialize_backend_stores  # noqa: PLC0415

    make_file(backend_uri)
    initialize_backend_stores(backend_uri, backend_uri, ARTIFACT_ROOT)


def make_file(backend_uri: str) -> None:
    """Make a new SQLite file beside its place: MLflow cannot go on with one that is half made."""
    url = sqlite_file(backend_uri)
    if url is None or (path := Path(url.database)).exists():
        return
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore  # noqa: PLC0415

    unfinished = path.with_name(f"{path.name}.unfinished")
    for left in path.parent.glob(f"{unfinished.name}*"):
        left.unlink()
    beside = url.set(database=str(unfinished)).render_as_string(hide_password=False)
    SqlAlchemyStore(beside, ARTIFACT_ROOT).engine.dispose()
    unfinished.rename(path)


def sqlite_file(backend_uri: str) -> URL | None:
    """The address of a database that is a plain file: not in memory, not SQLite's own `file:`."""
    try:
        url = make_url(backend_uri)
    except ArgumentError:  # a directory, which MLflow takes too
        return None
    plain = url.database and not url.database.startswith((":memory:", "file:"))
    return url if plain and url.get_backend_name() == "sqlite" else None


def serve(socket: Path) -> None:
    """Serve until told to stop; one process, whose threads suffice for a team."""
    socket.unlink(missing_ok=True)
    uvicorn.run(
        "mlflow.server.fastapi_app:app",
        uds=str(socket),
        proxy_headers=False,
        access_log=False,
        log_level="warning",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )


def main(arguments: list[str]) -> None:
    """Run on the socket that is named; its parent's end is its own."""
    socket, parent = arguments
    die_with(int(parent))
    os.umask(0o077)
    backend_uri, artifacts = os.environ.pop(BACKEND_URI), os.environ.pop(ARTIFACTS)
    configure(backend_uri, artifacts)
    prepare_database(backend_uri)
    serve(Path(socket))


def die_with(parent: int) -> None:
    """End with the proxy, however that ends."""
    from mlhub.singleuser import child  # noqa: PLC0415 - Linux only, like the service

    child.die_with(parent)


if __name__ == "__main__":
    main(sys.argv[1:])
