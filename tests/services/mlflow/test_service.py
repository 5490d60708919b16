"""The service as people use it: a real hub, a real MLflow, its real client."""

import contextlib
import json
import os
import re
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from hub_services.mlflow import backend
from hub_services.mlflow.settings import cookie_secret
from mlhub.singleuser.environment import MLFLOW_SCOPE
from tests.singleuser.hub import Hub, descendants, wait_for

pytestmark = pytest.mark.stack

MIB = 2**20
EXAMPLE = Path(__file__).parents[3] / "notebook-scripts" / "mlflow-example.py"


class Client:
    """Raw requests with a token, as a client that minds no rules would make them."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self.headers = {"Authorization": f"Bearer {token}"}

    def send(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        headers = self.headers | kwargs.pop("headers", {})
        return httpx.request(method, self.url + path, headers=headers, timeout=60, **kwargs)

    def post(self, path: str, body: Any, **kwargs: Any) -> dict[str, Any]:
        answer = self.send("POST", f"/api/2.0/mlflow/{path}", json=body, **kwargs)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def run(self, run_id: str) -> dict[str, Any]:
        answer = self.send("GET", f"/api/2.0/mlflow/runs/get?run_id={run_id}")
        return dict(answer.json()["run"])


@pytest.fixture(scope="session")
def ada(hub: Hub, mlflow_url: str) -> Client:
    return Client(mlflow_url, hub.token_of("ada", [MLFLOW_SCOPE]))


@pytest.fixture(scope="session")
def mallory(hub: Hub, mlflow_url: str) -> Client:
    return Client(mlflow_url, hub.token_of("mallory", [MLFLOW_SCOPE]))


def user_of(run: dict[str, Any]) -> tuple[str, str]:
    """The name on a run in both places."""
    tags = {tag["key"]: tag["value"] for tag in run["data"]["tags"]}
    return run["info"]["user_id"], tags["mlflow.user"]


def new_run(client: Client, **body: Any) -> str:
    answer = client.post("runs/create", {"experiment_id": "0", **body})
    return str(answer["run"]["info"]["run_id"])


@pytest.fixture(scope="module")
def environment_of_server(hub: Hub, mlflow_url: str) -> Iterator[dict[str, str]]:
    """The environment of ada's own server, as a notebook in it sees it."""
    hub.start_server("ada")
    homes = {server.environ()["HOME"]: server for server in descendants("jupyterhub.singleuser")}
    yield homes[str(hub.directory / "homes" / "ada")].environ()
    hub.api("DELETE", "users/ada/server")


def test_a_script_in_a_users_server_logs_without_any_set_up(
    environment_of_server: dict[str, str], ada: Client
) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLE)],
        env=environment_of_server,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = re.search(r"run (\w+) of ada is in experiment 'first-steps'", done.stdout)
    assert found, done.stdout
    run = ada.run(found[1])
    assert user_of(run) == ("ada", "ada")
    artifact = ada.send("GET", f"/get-artifact?run_id={found[1]}&path=result.json")
    assert json.loads(artifact.text)["slope"] == pytest.approx(3, abs=0.5)


def test_a_supervisor_asks_whether_it_lives_without_a_credential(hub: Hub) -> None:
    answer = httpx.get(f"{hub.url}/services/mlflow/healthz", timeout=30)
    assert (answer.status_code, answer.json()) == (200, {"status": "alive"})


def test_a_run_created_in_anothers_name_is_the_callers(mallory: Client) -> None:
    forged = {"user_id": "ada", "tags": [{"key": "mlflow.user", "value": "ada"}]}
    run_id = new_run(mallory, **forged)
    assert user_of(mallory.run(run_id)) == ("mallory", "mallory")


def test_headers_that_claim_a_name_do_nothing(mallory: Client) -> None:
    names = ("X-Forwarded-User", "Remote-User", "X-Remote-User", "X-MLflow-User", "X-MLHub-User")
    run_id = str(
        mallory.post("runs/create", {"experiment_id": "0"}, headers=dict.fromkeys(names, "ada"))[
            "run"
        ]["info"]["run_id"]
    )
    assert user_of(mallory.run(run_id)) == ("mallory", "mallory")


def test_an_address_in_disguise_is_signed_all_the_same(mallory: Client) -> None:
    body = {"experiment_id": "0", "userId": "ada"}
    answer = mallory.send("POST", "/ajax-api/2.0/mlflow/%72uns%2Fcreate", json=body)
    assert answer.json()["run"]["info"]["user_id"] == "mallory"


def test_anothers_run_keeps_its_name_whatever_is_sent(ada: Client, mallory: Client) -> None:
    run_id = new_run(ada)
    tag = {"key": "mlflow.user", "value": "mallory"}
    mallory.post("runs/set-tag", {"run_id": run_id, **tag})
    mallory.post("runs/delete-tag", {"run_id": run_id, "key": "mlflow.user"})
    others = [{"key": "colour", "value": "red"}]
    mallory.post("runs/log-batch", {"run_id": run_id, "tags": [tag, *others]})
    run = ada.run(run_id)
    assert user_of(run) == ("ada", "ada")
    assert {"key": "colour", "value": "red"} in run["data"]["tags"]


def test_a_logged_model_and_a_trace_bear_the_callers_name(mallory: Client) -> None:
    tags = [{"key": "mlflow.user", "value": "ada"}]
    model = mallory.post("logged-models", {"experiment_id": "0", "name": "m", "tags": tags})
    assert {"key": "mlflow.user", "value": "mallory"} in model["model"]["info"]["tags"]
    info = {
        "trace_id": "tr-0123456789abcdef",
        "trace_location": {
            "type": "MLFLOW_EXPERIMENT",
            "mlflow_experiment": {"experiment_id": "0"},
        },
        "request_time": "2026-11-21T08:00:00Z",
        "state": "OK",
        "traceMetadata": {"mlflow.user": "ada"},
    }
    answer = mallory.send("POST", "/api/3.0/mlflow/traces", json={"trace": {"trace_info": info}})
    assert answer.status_code == 200, answer.text
    metadata = answer.json()["trace"]["trace_info"]["trace_metadata"]
    assert metadata["mlflow.user"] == "mallory"


TRACED = """
import mlflow
mlflow.set_experiment("traces")
@mlflow.trace
def add(a, b):
    mlflow.update_current_trace(tags={"mlflow.user": "ada"}, metadata={"mlflow.user": "ada"})
    return a + b
add(1, 2)
mlflow.flush_trace_async_logging()
trace = mlflow.get_trace(mlflow.get_last_active_trace_id())
print("NAMES", trace.info.trace_metadata.get("mlflow.user"), trace.info.tags.get("mlflow.user"))
print("SPANS", [span.name for span in trace.data.spans])
"""


def test_a_function_traced_by_mlflows_client_bears_the_callers_name(
    hub: Hub, mallory: Client, tmp_path: Path
) -> None:
    token = mallory.headers["Authorization"].removeprefix("Bearer ")
    own = {"MLFLOW_TRACKING_URI": mallory.url, "MLFLOW_TRACKING_TOKEN": token, "LOGNAME": "ada"}
    done = subprocess.run(
        [sys.executable, "-c", TRACED],
        env=os.environ | own,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "NAMES mallory mallory" in done.stdout, done.stdout + done.stderr
    assert "SPANS ['add']" in done.stdout


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer nonsense"}])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/health"),
        ("POST", "/api/2.0/mlflow/runs/create"),
        ("PUT", "/api/2.0/mlflow-artifacts/artifacts/1/x"),
        ("DELETE", "/api/2.0/mlflow/registered-models/delete"),
        ("POST", "/graphql"),
        ("POST", "/v1/traces"),
        ("GET", "/static-files/favicon.ico"),
        ("GET", "/mlhub/page.js"),
    ],
)
def test_nobody_gets_in_without_credentials(
    mlflow_url: str, method: str, path: str, headers: dict[str, str]
) -> None:
    answer = httpx.request(method, mlflow_url + path, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert "MLFLOW_TRACKING_TOKEN" in answer.json()["message"]


def test_a_token_without_the_scope_is_refused_with_the_scopes_name(
    hub: Hub, mlflow_url: str
) -> None:
    client = Client(mlflow_url, hub.token_of("ada", ["read:users!user"]))
    answer = client.send("GET", "/api/2.0/mlflow/experiments/search?max_results=1")
    assert answer.status_code == 403
    assert answer.json()["error_code"] == "PERMISSION_DENIED"
    assert MLFLOW_SCOPE in answer.json()["message"]


def test_a_person_without_a_session_is_sent_to_sign_in(mlflow_url: str) -> None:
    answer = httpx.get(f"{mlflow_url}/", headers={"Accept": "text/html"})
    assert answer.status_code == 302
    assert "/hub/api/oauth2/authorize" in answer.headers["Location"]


def test_what_acts_for_the_whole_team_is_not_offered(ada: Client) -> None:
    answer = ada.send("POST", "/ajax-api/3.0/mlflow/assistant/message", json={})
    assert (answer.status_code, answer.json()["error_code"]) == (403, "FEATURE_DISABLED")


def test_a_large_request_is_refused_with_the_limit(ada: Client) -> None:
    body = b'{"x": "' + b"x" * (33 * MIB) + b'"}'
    answer = ada.send("POST", "/api/2.0/mlflow/runs/create", content=body)
    assert answer.status_code == 413
    assert "32 MiB" in answer.json()["message"]


def test_a_large_request_of_unknown_length_is_refused_too(ada: Client) -> None:
    chunks = (b"x" * MIB for _ in range(40))
    answer = ada.send("POST", "/api/2.0/mlflow/runs/create", content=chunks)
    assert answer.status_code == 413


def test_a_client_that_sends_without_end_is_cut_off(hub: Hub, ada: Client) -> None:
    """Asked without the hub's proxy between, which takes what nobody wants any more."""
    sent = 0

    def chunks() -> Iterator[bytes]:
        nonlocal sent
        for sent in range(4000):  # noqa: B007 - read after the end
            yield b"x" * MIB

    path = "/services/mlflow/api/2.0/mlflow/runs/create"
    with contextlib.suppress(httpx.HTTPError):
        url = hub.services[0]["url"] + path
        httpx.post(url, headers=ada.headers, content=chunks(), timeout=60)
    assert 64 < sent < 3000


def test_a_body_that_is_no_json_is_the_callers_mistake(ada: Client) -> None:
    answer = ada.send("POST", "/api/2.0/mlflow/runs/create", content=b"{")
    assert answer.status_code == 400
    assert "not understood" in answer.json()["message"]


def backend_process(state: Path) -> psutil.Process:
    """MLflow's own server of that state: another stack of the tests may have one too."""
    found = [row for row in descendants("hub_services.mlflow.backend") if Path(row.cwd()) == state]
    return found[0]


class Peak(threading.Thread):
    """The most memory that a process had while this ran."""

    def __init__(self, process: psutil.Process) -> None:
        super().__init__(daemon=True)
        self.process = process
        self.most = process.memory_info().rss
        self.stop = threading.Event()

    def run(self) -> None:
        while not self.stop.wait(0.02):
            self.most = max(self.most, self.process.memory_info().rss)


LARGE = "/api/2.0/mlflow-artifacts/artifacts/large/weights.bin"
LARGE_MIB = 256


@pytest.fixture(scope="module")
def growth_in_upload(ada: Client, state: Path) -> int:
    """Bytes by which the proxy grew while a large artifact passed through it."""
    block = os.urandom(MIB)
    process = backend_process(state).parent()
    assert process is not None
    before = process.memory_info().rss
    peak = Peak(process)
    peak.start()
    answer = ada.send("PUT", LARGE, content=(block for _ in range(LARGE_MIB)))
    peak.stop.set()
    assert answer.status_code == 200, answer.text
    return peak.most - before


def test_a_large_upload_is_not_held_in_memory(growth_in_upload: int) -> None:
    assert growth_in_upload < 48 * MIB


def test_a_large_artifact_comes_back_whole_and_cannot_run_as_a_page(
    ada: Client, growth_in_upload: int
) -> None:
    received = 0
    with httpx.stream("GET", ada.url + LARGE, headers=ada.headers, timeout=60) as download:
        assert download.headers["Content-Security-Policy"].startswith("sandbox")
        for chunk in download.iter_raw():
            received += len(chunk)
    assert received == LARGE_MIB * MIB


def test_an_upload_that_breaks_off_leaves_no_artifact(ada: Client) -> None:
    path = "/api/2.0/mlflow-artifacts/artifacts/broken/part.bin"

    def broken() -> Iterator[bytes]:
        yield b"x" * MIB
        raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError):
        ada.send("PUT", path, content=broken())
    wait_for("end of the upload", lambda: "499" if ada.send("GET", path).is_error else None)
    assert ada.send("GET", "/health").status_code == 200


def test_state_and_socket_are_private(hub: Hub, state: Path, ada: Client) -> None:
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    socket = Path(backend_process(state).cmdline()[-2])
    assert stat.S_ISSOCK(socket.stat().st_mode)
    assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE((state / "cookie-secret").stat().st_mode) == 0o600
    connections = backend_process(state).net_connections("tcp")
    assert [c for c in connections if c.status == psutil.CONN_LISTEN] == []


def test_mlflows_process_knows_no_hub_token(state: Path, ada: Client) -> None:
    environment = backend_process(state).environ()
    assert not [name for name in environment if name.startswith("JUPYTERHUB_")]
    assert environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"


PREPARING = """
import sys
from hub_services.mlflow import backend
from hub_services.mlflow.settings import cookie_secret
backend.configure(*sys.argv[1:])
backend.prepare_database(sys.argv[1])
"""


def test_a_first_start_that_is_killed_is_made_good_by_the_next_one(tmp_path: Path) -> None:
    database, unfinished = tmp_path / "mlflow.db", tmp_path / "mlflow.db.unfinished"
    words = [sys.executable, "-W", "ignore", "-c", PREPARING, f"sqlite:///{database}", tmp_path]
    with subprocess.Popen(words) as first:
        wait_for("its file", lambda: unfinished.exists() and unfinished.stat().st_size, seconds=60)
        first.kill()
    assert not database.exists()
    subprocess.run(words, check=True)
    assert database.exists()
    assert not unfinished.exists()


def test_an_older_version_s_cookie_secret_does_not_lie_around(tmp_path: Path) -> None:
    (tmp_path / "cookie_secret").write_bytes(b"\x00" * 32)
    assert cookie_secret(tmp_path) == cookie_secret(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["cookie-secret"]


def test_a_database_s_address_may_say_more_than_its_file(tmp_path: Path) -> None:
    database = tmp_path / "mlflow.db"
    address = f"sqlite:///{database}?timeout=30"
    subprocess.run([sys.executable, "-W", "ignore", "-c", PREPARING, address, tmp_path], check=True)
    assert [path.name for path in tmp_path.glob("*mlflow.db*")] == ["mlflow.db"]
    with contextlib.closing(sqlite3.connect(database)) as opened:
        assert opened.execute("SELECT name FROM experiments").fetchall()


@pytest.mark.parametrize(
    "address",
    ["sqlite:///:memory:", "sqlite://", "sqlite:///file:a?mode=memory&uri=true", "runs", "://"],
)
def test_a_database_that_is_no_plain_file_is_left_to_mlflow(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    backend.make_file(address)
    assert not list(tmp_path.iterdir())


def test_mlflow_comes_back_by_itself_after_its_death(ada: Client, state: Path) -> None:
    """Last, as everything waits for the restart: a person sees a page that looks again."""
    run_id = new_run(ada)
    dead = backend_process(state)
    dead.kill()
    dead.wait(10)
    page = {"Accept": "text/html"}
    cookie_less = ada.send("GET", "/health")
    assert cookie_less.status_code == 503
    assert cookie_less.headers["Retry-After"] == "3"
    assert cookie_less.json()["error_code"] == "TEMPORARILY_UNAVAILABLE"
    assert ada.send("GET", "/", headers=page).status_code == 503
    wait_for("MLflow", lambda: ada.send("GET", "/health").status_code == 200, seconds=60)
    assert user_of(ada.run(run_id)) == ("ada", "ada")
