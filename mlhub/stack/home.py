"""The stack's home: the one directory that holds its settings, secrets, data and logs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlhub.stack.problems import StackProblem

PRIVATE = 0o700
PASSABLE = 0o711  # other OS users may reach what lies below, but not look around


@dataclass(frozen=True, slots=True)
class Home:
    """Where everything of one stack lives.

    Attributes:
        path: The home itself, absolute.
    """

    path: Path

    @property
    def config_file(self) -> Path:
        """`mlhub.yaml`: what its operator may change."""
        return self.path / "mlhub.yaml"

    @property
    def secrets(self) -> Path:
        """The directory of secret files, each of mode 600."""
        return self.path / "secrets"

    @property
    def run(self) -> Path:
        """What is true only while the stack runs: ports, process numbers, the lock."""
        return self.path / "run"

    @property
    def logs(self) -> Path:
        """One log file for each process, and its older parts."""
        return self.path / "logs"

    @property
    def hub(self) -> Path:
        """The hub's database and working directory."""
        return self.path / "hub"

    @property
    def commands(self) -> Path:
        """What people's servers may run from here."""
        return self.path / "bin"

    @property
    def lock_file(self) -> Path:
        """Locked by the `mlhub up` that runs this home."""
        return self.run / "lock"

    @property
    def watcher_file(self) -> Path:
        """The number and the start of that `mlhub up`."""
        return self.run / "watcher.json"

    @property
    def states_file(self) -> Path:
        """What the supervisor knows about each part."""
        return self.run / "parts.json"

    @property
    def record_file(self) -> Path:
        """Which processes belong to the stack."""
        return self.run / "processes.json"

    @property
    def wiring_file(self) -> Path:
        """Who listens where."""
        return self.run / "wiring.json"


def default_home(environ: Mapping[str, str], *, as_root: bool) -> Path:
    """Says where the home is when nobody names one.

    Args:
        environ: The environment; `MLHUB_HOME` and `XDG_DATA_HOME` are heeded.
        as_root: Whether the stack serves every OS user of the machine.
    """
    if environ.get("MLHUB_HOME"):
        return Path(environ["MLHUB_HOME"]).expanduser().resolve()
    if as_root:
        return Path("/var/lib/mlhub")
    data = environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data).expanduser().resolve() / "mlhub"


def prepare(home: Home) -> None:
    """Makes the directories of a home, each as private as its content.

    Raises:
        StackProblem: the place cannot be written, or belongs to another OS user.
    """
    try:
        home.path.mkdir(parents=True, exist_ok=True)
        refuse_a_strangers(home.path)
        home.path.chmod(PASSABLE)
        for private in (home.secrets, home.run, home.logs, home.hub):
            private.mkdir(exist_ok=True)
            private.chmod(PRIVATE)
    except OSError as error:
        raise StackProblem(
            f"The stack's home {home.path} cannot be used: {error.strerror}",
            remedy="Name another with --home DIR.",
        ) from error


def refuse_a_strangers(path: Path) -> None:
    """Refuses a home that another OS user owns and could change under our feet.

    Raises:
        StackProblem: the directory is somebody else's.
    """
    owner = path.stat().st_uid
    if owner != os.geteuid():
        raise StackProblem(
            f"The stack's home {path} belongs to another OS user (number {owner})",
            remedy="Name another with --home DIR, or start the stack as that user.",
        )
