"""Keeps MLflow's server alive: starts it, restarts it after its death, ends it with the service."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Mapping

from hub_services.mlflow import backend
from hub_services.mlflow.settings import Settings
from mlhub.stack import hub_api

log = logging.getLogger("mlhub.mlflow")

SHORTEST_WAIT, LONGEST_WAIT = 0.5, 30.0  # seconds between restarts
STEADY_SECONDS = 60.0  # a process that lived so long starts the waits anew
STOP_SECONDS = 10.0
HUB_SECONDS = 60.0  # for the hub to come up, which has the CPU for itself so long
WITHHELD = ("JUPYTERHUB_", "MLFLOW_", "_MLFLOW", "MLHUB_")
PASSED = ("MLFLOW_S3_", "MLFLOW_GCS_", "MLFLOW_ARTIFACT_", "MLFLOW_SQLALCHEMYSTORE_")

ALWAYS = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ALLOWED_HOSTS": "localhost",
    "MLFLOW_SERVER_X_FRAME_OPTIONS": "DENY",
    "MLFLOW_DISABLE_AGENT_HINT": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}
"""The proxy checks origins itself and asks as ``localhost``, whatever the hub is called."""


def child_environment(settings: Settings, own: Mapping[str, str]) -> dict[str, str]:
    """What MLflow's process may know: no hub token, and storage settings as they were given."""
    kept = {
        name: value
        for name, value in own.items()
        if name.startswith(PASSED) or not name.startswith(WITHHELD)
    }
    data = {backend.BACKEND_URI: settings.backend_uri, backend.ARTIFACTS: settings.artifacts}
    return kept | ALWAYS | data


class Supervisor:
    """Runs one MLflow server until stopped."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to supervise; returns at once."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """End MLflow's server, by force after ten seconds; a repeat does nothing."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._end()

    async def _run(self) -> None:
        wait = SHORTEST_WAIT
        if hub := os.environ.get("JUPYTERHUB_API_URL"):  # nobody can ask for MLflow before
            await hub_api.wait_for(hub, limit_s=HUB_SECONDS)
        while True:
            started = time.monotonic()
            await self._live()
            if time.monotonic() - started > STEADY_SECONDS:
                wait = SHORTEST_WAIT
            await asyncio.sleep(wait)
            wait = min(LONGEST_WAIT, wait * 2)

    async def _live(self) -> None:
        """One life of the server, from its start to its end."""
        command = [sys.executable, "-m", "hub_services.mlflow.backend"]
        environment = child_environment(self._settings, os.environ)
        self._process = await asyncio.create_subprocess_exec(
            *(*command, str(self._settings.socket), str(os.getpid())),
            env=environment,
            cwd=self._settings.state,
            start_new_session=True,
        )
        log.info("MLflow starts as process %d", self._process.pid)
        code = await self._process.wait()
        log.warning("MLflow ended with status %d and is started again", code)

    async def _end(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        self._signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
        except TimeoutError:
            self._signal(signal.SIGKILL)
            await process.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
