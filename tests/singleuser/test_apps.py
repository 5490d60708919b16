"""The apps beside JupyterLab: private sockets, real data, and no life without their server."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import psutil
import pytest

from mlhub.singleuser import tiles
from mlhub.singleuser.environment import (
    apps_environment,
    mlflow_environment,
    mlflow_link,
    server_arguments,
)
from tests.singleuser.hub import wait_for
from tests.singleuser.node import code_server

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "notebook-scripts"


class UnixConnection(HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self.path))


def get(path: Path, url: str) -> bytes:
    connection = UnixConnection(path)
    try:
        connection.request("GET", url)
        answer = connection.getresponse()
        assert answer.status == 200, (url, answer.status)
        return answer.read()
    finally:
        connection.close()


def listening(process: psutil.Process) -> list[object]:
    family = [process, *process.children(recursive=True)]
    found = [c for p in family for c in p.net_connections("inet")]
    return [c for c in found if c.status == psutil.CONN_LISTEN]


@pytest.fixture(scope="module")
def logdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    logdir = tmp_path_factory.mktemp("runs")
    script = str(EXAMPLES / "tensorboard-example.py")
    subprocess.run([sys.executable, script, "--logdir", str(logdir), "--steps", "9"], check=True)
    return logdir


@pytest.fixture(scope="module")
def board(logdir: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    path = tiles.socket_directory() / "board.sock"
    words = [sys.executable, "-m", "mlhub.singleuser.tensorboard", str(path), str(logdir)]
    process = subprocess.Popen(words, cwd=ROOT)
    wait_for("TensorBoard", path.exists)
    yield process, path
    process.terminate()
    assert process.wait(20) == 0


def test_tensorboards_socket_is_for_its_owner_alone(
    board: tuple[subprocess.Popen[bytes], Path],
) -> None:
    process, path = board
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert listening(psutil.Process(process.pid)) == []


@pytest.mark.root
def test_another_os_user_cannot_connect(board: tuple[subprocess.Popen[bytes], Path]) -> None:
    script = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    done = subprocess.run(
        ["/usr/bin/python3", "-c", script, str(board[1])],
        user=12345,
        group=12345,
        extra_groups=[],
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert "PermissionError" in done.stderr


def test_tensorboard_serves_its_page_its_plugins_and_the_points_of_a_curve(
    board: tuple[subprocess.Popen[bytes], Path],
) -> None:
    _, path = board
    assert b"tb-relative-root" in get(path, "/")
    assert {"scalars", "timeseries"} <= set(json.loads(get(path, "/data/plugins_listing")))
    wait_for("runs", lambda: json.loads(get(path, "/data/runs")) == ["example-1", "example-2"])
    points = json.loads(get(path, "/data/plugin/scalars/scalars?run=example-1&tag=loss"))
    assert [step for _, step, _ in points] == list(range(9))
    assert points[0][2] > points[-1][2]


PARENT = """
import subprocess, sys, time
from mlhub.singleuser import child
process = subprocess.Popen(child.command(sys.executable, "-c", "import time; time.sleep(600)"))
print(process.pid, flush=True)
time.sleep(600)
"""


def test_an_app_ends_when_its_server_is_killed() -> None:
    server = subprocess.Popen(
        [sys.executable, "-c", PARENT], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    app = psutil.Process(int(server.stdout.readline()))
    wait_for("the app itself", lambda: "time.sleep" in "".join(app.cmdline()))
    server.send_signal(signal.SIGKILL)
    server.wait()
    server.stdout.close()
    wait_for("end of the app", lambda: not psutil.pid_exists(app.pid), seconds=10)


def test_all_of_vs_code_ends_when_its_server_is_killed(tmp_path: Path) -> None:
    script = (
        "import os, subprocess, sys, time\n"
        "from mlhub.singleuser import tiles\n"
        "app = tiles.vscode()\n"
        "words = [w.format(unix_socket=app['unix_socket']) for w in app['command']]\n"
        "extra = {k: v.format() for k, v in app['environment'].items()}\n"
        "subprocess.Popen(words, env=os.environ | extra)\n"
        "print(app['unix_socket'], flush=True)\n"
        "time.sleep(600)\n"
    )
    own = {"MLHUB_CODE_SERVER": str(code_server()), "HOME": str(tmp_path)}
    own["PYTHONPATH"] = str(ROOT)
    server = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=os.environ | own,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    path = Path(server.stdout.readline().strip())
    wait_for("VS Code", path.exists)
    wait_for("its page", lambda: b"vscode" in get(path, "/?folder=/tmp"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    family = psutil.Process(server.pid).children(recursive=True)
    assert len(family) >= 2
    assert listening(psutil.Process(server.pid)) == []
    server.kill()
    server.wait()
    server.stdout.close()
    _, alive = psutil.wait_procs(family, timeout=20)
    assert alive == []


def test_apps_that_are_not_there_have_no_tile(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLHUB_CODE_SERVER", "MLFLOW_TRACKING_URI", "JUPYTERHUB_SERVICE_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    for tile in (tiles.vscode(), tiles.mlflow()):
        assert tile["launcher_entry"]["enabled"] is False
    monkeypatch.setenv("MLHUB_CODE_SERVER", "/nowhere")
    assert tiles.vscode()["launcher_entry"]["enabled"] is False


def test_vs_code_is_found_as_a_command_or_as_a_folder_of_npm(tmp_path: Path) -> None:
    command = tmp_path / "code-server"
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    assert tiles.code_server_command({"MLHUB_CODE_SERVER": str(command)}) == [str(command)]
    found = tiles.code_server_command(
        {"MLHUB_CODE_SERVER": str(code_server()), "MLHUB_NODE": "/opt/node"}
    )
    assert found is not None
    assert found[0] == "/opt/node"
    assert Path(found[1]).is_file()


def test_the_hub_passes_on_what_the_apps_need_and_nothing_else() -> None:
    own = {"MLHUB_CODE_SERVER": "/c", "MLHUB_NODE": "/n", "JUPYTERHUB_CRYPT_KEY": "secret"}
    assert apps_environment(own) == {"MLHUB_CODE_SERVER": "/c", "MLHUB_NODE": "/n"}


@pytest.mark.parametrize(
    ("base", "prefix", "link"),
    [
        ("/", "/user/ada/", "../../services/mlflow/"),
        ("/", "/user/ada/train/", "../../../services/mlflow/"),
        ("/jupyter/", "/jupyter/user/ada/", "../../services/mlflow/"),
    ],
)
def test_the_link_to_mlflow_leads_from_any_server_to_the_service(
    base: str, prefix: str, link: str
) -> None:
    assert mlflow_link(base_url=base, server_prefix=prefix) == link


def test_the_environment_of_a_server_names_address_and_credential() -> None:
    environment = mlflow_environment(hub_url="http://127.0.0.1:8000/jupyter/", token="t")
    assert environment["MLFLOW_TRACKING_URI"] == "http://127.0.0.1:8000/jupyter/services/mlflow"
    assert environment["MLFLOW_TRACKING_TOKEN"] == "t"
    assert "t" not in " ".join(server_arguments()).split()
    with pytest.raises(ValueError, match="token"):
        mlflow_environment(hub_url="http://127.0.0.1:8000/", token="")


def cells(name: str) -> str:
    notebook = json.loads((EXAMPLES / name).read_text())
    return "\n\n".join(
        "".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"
    )


@pytest.mark.parametrize(
    ("leased", "said"),
    [("GPU-0001,GPU-0002", "holds 2 GPUs"), ("GPU-0001", "holds 1 GPU."), ("", "holds 0 GPUs")],
)
def test_the_first_notebook_shows_what_is_leased_without_a_gpu_or_torch(
    leased: str, said: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", cells("first-notebook.ipynb")],
        env=os.environ | {"CUDA_VISIBLE_DEVICES": leased, "MLHUB_SIMULATED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said in done.stdout
    assert "They are simulated" in done.stdout
    assert all(uuid in done.stdout for uuid in leased.split(","))
