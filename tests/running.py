"""A whole stack for tests: `mlhub up` for real, in a home of its own and on free ports.

    with running_stack(tmp_path, settings={"times": {"claim_window": "20s"}}) as stack:
        stack.url                      # ends with a slash
        stack.token("quota")           # a hub token: quota, mlflow, spawner or stack
        stack.sign_in(person)          # a requests session that is signed in to the hub
        stack.log("hub")               # what a part has written so far

Without `person` the stack runs as whoever runs the tests: as root it serves every OS user by PAM.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import requests

from mlhub.stack.home import Home
from mlhub.stack.ports import free_internal
from mlhub.stack.wiring import load_json
from tests.people import Person
from tests.waiting import wait_until

MLHUB = Path(sys.executable).with_name("mlhub")
UP_LIMIT_S = 180.0
PROFILES = [
    {"display_name": "Python 3", "slug": "python", "default": True, "gpus": "any"},
]


def node_cache() -> Path:
    """Where the parts that run on Node.js are installed once for all tests."""
    if os.environ.get("MLHUB_NODE_CACHE"):
        return Path(os.environ["MLHUB_NODE_CACHE"])
    if os.geteuid() == 0:
        return Path("/var/cache/mlhub/node")  # every OS user must be able to run them
    return Path.home() / ".cache" / "mlhub" / "node"


def answers(session: requests.Session, url: str) -> bool:
    """Whether a page is there and shown to this session."""
    try:
        return session.get(url, timeout=30).ok
    except requests.RequestException:
        return False


@dataclass
class Stack:
    """A running stack."""

    home: Path
    port: int
    output: Path
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """The address of the proxy, with a slash at its end."""
        return f"http://127.0.0.1:{self.port}/"

    def secret(self, name: str) -> str:
        """Reads one of the stack's secret files."""
        return (self.home / "secrets" / name).read_text().strip()

    def token(self, kind: str) -> str:
        """The hub token of a service: `quota`, `mlflow`, `spawner` or `stack`."""
        return self.secret(f"{kind}-token")

    def log(self, part: str) -> str:
        """What a part has written so far."""
        return (self.home / "logs" / f"{part}.log").read_text(errors="replace")

    def said(self) -> str:
        """What `mlhub up` has printed so far."""
        return self.output.read_text(errors="replace")

    def status(self) -> dict[str, Any]:
        """What `mlhub status --json` prints."""
        answer = self.command("status", "--json")
        return dict(json.loads(answer.stdout))

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Runs `mlhub` on this stack."""
        return subprocess.run(
            [MLHUB, *words, "--home", self.home],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def part(self, name: str) -> psutil.Process | None:
        """The process of a part; None while there is none."""
        state = (load_json(Home(self.home).states_file) or {}).get(name) or {}
        try:
            return psutil.Process(state["pid"]) if state.get("pid") else None
        except psutil.NoSuchProcess:
            return None

    def sign_in(self, name: str, password: str) -> requests.Session:
        """Signs in by the hub's form."""
        session = requests.Session()
        session.get(f"{self.url}hub/login", timeout=30).raise_for_status()
        form = {"username": name, "password": password, "_xsrf": session.cookies["_xsrf"]}
        answer = session.post(f"{self.url}hub/login", data=form, timeout=60, allow_redirects=False)
        if answer.status_code != 302:
            session.close()
            raise AssertionError(f"{name} was not let in: {answer.status_code} {answer.text}")
        return session

    def start_server(
        self, session: requests.Session, name: str, options: Mapping[str, Any] | None = None
    ) -> None:
        """Starts somebody's server by the hub's API and waits until it answers."""
        headers = {"X-XSRFToken": session.cookies.get("_xsrf", path="/hub/") or ""}
        address = f"{self.url}hub/api/users/{name}/server"
        answer = session.post(address, headers=headers, json=dict(options or {}), timeout=120)
        if answer.status_code not in {201, 202}:
            raise AssertionError(f"no server for {name}: {answer.status_code} {answer.text}")
        wait_until(
            lambda: answers(session, f"{self.url}user/{name}/api"),
            within_s=120,
            what=f"the server of {name} answers",
        )

    def stop(self) -> int:
        """Stops it as Ctrl-C does; gives the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(60)


def write_settings(
    home: Path, settings: Mapping[str, Any] | None, *, gpus_file: Path | None, as_root: bool
) -> None:
    """Writes the mlhub.yaml of a test; JSON is YAML too."""
    document: dict[str, Any] = {"profiles": PROFILES}
    if as_root:
        document["authentication"] = {"pam": {"allow_all": True, "admin_groups": ["sudo"]}}
    document |= settings or {}
    if gpus_file is not None:
        document["inventory"] = {"source": "simulated", "simulated_file": str(gpus_file)}
    home.mkdir(parents=True, exist_ok=True)
    (home / "mlhub.yaml").write_text(json.dumps(document, indent=1))


def launch(
    home: Path, *, port: int, person: Person | None = None, words: Sequence[str] = ()
) -> Stack:
    """Starts `mlhub up` and does not wait for it."""
    command = [MLHUB, "up", "--home", home, "--port", str(port), *words]
    output = home / "up.txt"
    environ = {"MLHUB_NODE_CACHE": str(node_cache()), "COLUMNS": "200"}
    with output.open("wb") as file:
        where = {"stdin": subprocess.DEVNULL, "stdout": file, "stderr": subprocess.STDOUT}
        if person is not None:
            process = person.popen(command, environ=environ, **where)
        else:
            process = subprocess.Popen(command, env=os.environ | environ, **where)
    return Stack(home, port, output, process)


@contextmanager
def running_stack(
    home: Path,
    *,
    settings: Mapping[str, Any] | None = None,
    gpus_file: Path | None = None,
    person: Person | None = None,
    words: Sequence[str] = (),
) -> Iterator[Stack]:
    """Runs a stack until the block ends, and then makes sure that nothing is left of it.

    Args:
        home: Its home; made when missing.
        settings: What its mlhub.yaml says beside one profile.
        gpus_file: A file of simulated GPUs; default: the stack's own four A100 and two T4.
        person: The OS user who starts it; default: the user who runs the tests.
        words: More words for `mlhub up`.
    """
    as_root = person is None and os.geteuid() == 0
    write_settings(home, settings, gpus_file=gpus_file, as_root=as_root)
    if person is not None:
        for path in (home, home / "mlhub.yaml"):
            os.chown(path, person.uid, person.gid)
    stack = launch(home, port=free_internal(1)[0], person=person, words=words)
    try:
        wait_for_page(stack)
        yield stack
    finally:
        try:
            stack.stop()
        finally:
            stack.command("down")


def wait_for_page(stack: Stack) -> None:
    """Waits until people can sign in; fails with what was printed when it never comes up."""

    def up_or_ended() -> bool:
        return "Sign in" in stack.said() or stack.process.poll() is not None

    wait_until(up_or_ended, within_s=UP_LIMIT_S, what="the sign-in page")
    if stack.process.poll() is not None:
        raise AssertionError(f"mlhub up ended with {stack.process.returncode}:\n{stack.said()}")
