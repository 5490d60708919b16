"""Who listens where in one run of the stack; written down so that every part reads the same."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlhub.stack.home import Home
from mlhub.stack.problems import StackProblem

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Wiring:
    """The addresses of one run. No secret is among them.

    Attributes:
        host: The address that the proxy listens on.
        port: The public TCP port.
        base_url: The path before everything, with a slash at both ends.
        hub_port: The hub's own port, on the loopback address like all that follow.
        proxy_api_port: The port by which the hub steers the proxy.
        service_ports: The port of each service, by its name.
        person: The only OS user who may sign in; None when every OS user may.
        gpus: `nvml`, `simulated` or `none`.
        node: The Node.js binary.
        proxy: The proxy's script.
        code_server: The command that starts VS Code.
    """

    host: str
    port: int
    base_url: str
    hub_port: int
    proxy_api_port: int
    service_ports: dict[str, int]
    person: str | None
    gpus: str
    node: str
    proxy: str
    code_server: str

    @property
    def origin(self) -> str:
        """The proxy's address, as seen from this machine, without a path."""
        shown = LOOPBACK if self.host in {"", "0.0.0.0", "::"} else self.host  # noqa: S104
        return f"http://{f'[{shown}]' if ':' in shown else shown}:{self.port}"

    @property
    def url(self) -> str:
        """The address that people open, as seen from this machine; it ends with a slash."""
        return f"{self.origin}{self.base_url}"

    def service_url(self, name: str) -> str:
        """A service's address past the proxy; it ends with a slash."""
        return f"http://{LOOPBACK}:{self.service_ports[name]}{self.base_url}services/{name}/"

    @property
    def hub_api(self) -> str:
        """The hub's REST API, past the proxy."""
        return f"http://{LOOPBACK}:{self.hub_port}{self.base_url}hub/api"


def save_json(path: Path, value: Any) -> None:
    """Writes a file in one step: a reader sees the old text or the new one, never half of it."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(json.dumps(value, indent=1))
    unfinished.chmod(0o600)
    unfinished.replace(path)


def load_json(path: Path) -> Any:
    """Reads such a file; None when it is not there or not readable as JSON."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def save(home: Home, wiring: Wiring) -> None:
    """Writes the wiring of the run that begins."""
    save_json(home.wiring_file, dataclasses.asdict(wiring))


def load(home: Home) -> Wiring | None:
    """Reads the wiring of the last run; None if there was none.

    Raises:
        StackProblem: another version of mlhub wrote it, with other fields.
    """
    value = load_json(home.wiring_file)
    if not isinstance(value, dict):
        return None
    try:
        return Wiring(**value)
    except TypeError as error:
        raise StackProblem(
            f"The stack in {home.path} was started by another version of mlhub",
            remedy="End it with `mlhub down` and start it with `mlhub up`; nothing is lost by it.",
        ) from error
