"""One hub with the MLflow service for all tests of it: MLflow starts slowly and is big."""

import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from mlhub.singleuser.environment import MLFLOW_SCOPE, server_arguments
from tests.singleuser.hub import Hub, free_ports, wait_for


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    directory = tmp_path_factory.mktemp("mlflow-hub")
    service = {
        "name": "mlflow",
        "url": f"http://127.0.0.1:{free_ports(1)[0]}",
        "command": [sys.executable, "-m", "hub_services.mlflow"],
        "environment": {"MLHUB_HOME": str(directory / "state")},
        "oauth_no_confirm": True,
    }
    hub = Hub(
        directory,
        services=[service],
        environment={
            "MLFLOW_TRACKING_URI": "{HUB}/services/mlflow",
            "MLFLOW_TRACKING_TOKEN": "{API_TOKEN}",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        },
        arguments=server_arguments(),
        token_scopes=[MLFLOW_SCOPE],
    )
    with hub.running():
        for name in ("ada", "mallory", "o'neill"):
            hub.add_user(name)
        yield hub


@pytest.fixture(scope="session")
def mlflow_url(hub: Hub) -> str:
    """Where the team's MLflow answers, once it does."""
    url, token = f"{hub.url}/services/mlflow", hub.token_of("ada", [MLFLOW_SCOPE])
    headers = {"Authorization": f"Bearer {token}"}

    def ready() -> bool:
        return httpx.get(f"{url}/health", headers=headers, timeout=30).status_code == 200

    wait_for("MLflow", ready, seconds=120)
    return url


@pytest.fixture(scope="session")
def state(hub: Hub) -> Path:
    return hub.directory / "state" / "mlflow"
