"""One hub for all tests of a user's server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mlhub.singleuser.environment import lease_environment, server_arguments
from tests.singleuser.hub import Hub
from tests.singleuser.node import code_server
from tests.singleuser.receiver import Receiver


@pytest.fixture(scope="session")
def receiver() -> Iterator[Receiver]:
    """Plays the quota service: notes what servers report."""
    with Receiver().running() as receiver:
        yield receiver


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[Hub]:
    directory = tmp_path_factory.mktemp("hub")
    environment = {
        "MLHUB_CODE_SERVER": str(code_server()),
        "MLFLOW_TRACKING_URI": "http://127.0.0.1/services/mlflow",
        "SHELL": "/bin/bash",
        **lease_environment(lease_id="lease-of-{USER}", api_url=receiver.url),
    }
    hub = Hub(directory, environment=environment, arguments=server_arguments())
    with hub.running():
        yield hub


@pytest.fixture(scope="session")
def home_of(hub: Hub) -> Path:
    return hub.directory / "homes"
