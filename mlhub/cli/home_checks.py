"""What `mlhub doctor` looks at on this machine: settings, files, processes, versions."""

from __future__ import annotations

import importlib.metadata
import os
import re
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import mlhub
from mlhub.adapters.simulated import read_spec
from mlhub.bootstrap import ledger_url
from mlhub.cli.findings import Found, Level, bad, good
from mlhub.configuration import Checked, Settings, check
from mlhub.core.errors import BadInput
from mlhub.core.quantities import plural
from mlhub.stack import running
from mlhub.stack.home import Home

OLDEST_HUB, NEWEST_HUB = (5, 5), (7, 0)
OLDEST_PYTHON: Final = (3, 11)
FOR_OTHERS: Final = 0o077
WRITABLE_BY_OTHERS: Final = 0o022
MANY_RESTARTS: Final = 3


def look_at_home(home: Home, config_file: Path) -> Iterator[Found]:
    """Everything that can be seen without asking a service."""
    yield from look_at_versions()
    yield from look_at_settings(config_file, home)
    yield from look_at_files(home, config_file)
    yield from look_at_parts(home)


def look_at_versions() -> Iterator[Found]:
    """Whether what runs here is what mlhub is made for."""
    python = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST_PYTHON:
        yield bad("Python", f"{python} is too old", "Install Python 3.11 or newer.")
    else:
        yield good("Python", python)
    yield good("mlhub", mlhub_version())
    yield look_at_hub_version()


def mlhub_version() -> str:
    """The version of this installation."""
    try:
        return importlib.metadata.version("mlhub")
    except importlib.metadata.PackageNotFoundError:
        return f"run from {Path(mlhub.__file__).parent}"


def look_at_hub_version() -> Found:
    """Whether the JupyterHub beside us is one that mlhub works with."""
    remedy = "Install one with: pip install 'jupyterhub>=5.5,<7'"
    try:
        version = importlib.metadata.version("jupyterhub")
    except importlib.metadata.PackageNotFoundError:
        return bad("JupyterHub", "it is not installed beside mlhub", remedy)
    numbers = re.match(r"(\d+)\.(\d+)", version)
    fits = numbers and OLDEST_HUB <= (int(numbers[1]), int(numbers[2])) < NEWEST_HUB
    return good("JupyterHub", version) if fits else bad("JupyterHub", version, remedy)


def look_at_settings(file: Path, home: Home) -> Iterator[Found]:
    """Whether mlhub.yaml can be used, and the files that it names."""
    checked = check(file)
    yield verdict_on(checked, file)
    if checked.settings is not None:
        yield from look_at_named_files(checked.settings, home)


def verdict_on(checked: Checked, file: Path) -> Found:
    """What came of reading mlhub.yaml."""
    if checked.errors:
        text = (
            f"{plural(len(checked.errors), 'error')} in {file}: {checked.errors[0].line(file.name)}"
        )
        return bad("settings", text, f"See them all with: mlhub config check {file}")
    if checked.problems:
        text = f"{plural(len(checked.problems), 'warning')} in {file}"
        return Found("settings", Level.NOTE, text, f"mlhub config check {file}")
    return good("settings", str(file))


def look_at_named_files(settings: Settings, home: Home) -> Iterator[Found]:
    """Whether what mlhub.yaml only names is there, right, and nobody else's."""
    try:
        if settings.ledger.url_env is None:  # the service's environment is not ours
            ledger_url(settings, home.path, os.environ)
        if settings.inventory.simulated_file is not None:
            read_spec(settings.inventory.simulated_file)
    except BadInput as error:
        yield bad("settings", f"{error.field}: {error.problem}", error.remedy)
    for name, provider in settings.authentication.providers.items():
        if (file := provider.client_secret.file) is not None:
            yield from _unsafe(file, FOR_OTHERS)
            if not file.exists():
                text = f"authentication.providers.{name}.client_secret: there is no {file}"
                yield bad("settings", text, "Put the provider's secret there, with mode 600.")


def look_at_files(home: Home, config_file: Path) -> Iterator[Found]:
    """Whether other OS users can read what is secret, or change what we believe."""
    if not home.path.is_dir():
        yield Found("files", Level.NOTE, f"there is no home in {home.path}", "mlhub up makes one.")
        return
    found = [*_unsafe(home.path, WRITABLE_BY_OTHERS), *_unsafe(config_file, WRITABLE_BY_OTHERS)]
    for directory in (home.secrets, home.run, home.hub, home.logs):
        found += _unsafe(directory, FOR_OTHERS)
    for file in _files_in(home.secrets):
        found += _unsafe(file, FOR_OTHERS)
    for file in sorted(home.path.glob("*.sqlite*")):
        found += _unsafe(file, FOR_OTHERS)
    yield from found or [good("files", f"{home.path} is safe from other OS users")]


def _files_in(directory: Path) -> list[Path]:
    try:
        return sorted(path for path in directory.iterdir() if path.is_file())
    except OSError:  # missing, or not ours: `_unsafe` has said so
        return []


def _unsafe(path: Path, forbidden: int) -> Iterator[Found]:
    """What is wrong with the mode or the owner of a path that is there."""
    try:
        seen = path.stat()
    except FileNotFoundError:
        return
    except OSError as error:
        yield bad("files", f"{path}: {error.strerror}", "Run this as the owner of the home.")
        return
    mode = stat.S_IMODE(seen.st_mode)
    if mode & forbidden:
        right = mode & ~forbidden
        words = "is open to other OS users" if forbidden & 0o044 else "can be changed by others"
        yield bad("files", f"{path} {words} ({mode:o})", f"chmod {right:o} {path}")
    if seen.st_uid not in {os.geteuid(), 0}:
        text = f"{path} belongs to another OS user (number {seen.st_uid})"
        yield bad("files", text, "Run this as that user, or as root.")


def look_at_parts(home: Home) -> Iterator[Found]:
    """Whether the processes of the stack run."""
    state = running.look(home)
    if state is None:
        yield Found("stack", Level.NOTE, f"nothing runs in {home.path}", "Start it with: mlhub up")
        return
    for part in state.parts:
        log = home.logs / f"{part.name}.log"
        if part.pid is None:
            yield bad("stack", f"{part.name} does not run", f"The reason is at the end of {log}")
        elif part.restarts >= MANY_RESTARTS:
            text = f"{part.name} had to be started again {part.restarts} times"
            yield Found("stack", Level.NOTE, text, f"The reasons are in {log}")
    if state.healthy:
        yield good("stack", f"{', '.join(part.name for part in state.parts)} run")
