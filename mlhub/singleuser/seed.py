"""Puts the examples into a user's home, once: never over a file, never back after deletion."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

FOLDER = "mlhub-examples"
MARKER = Path(".local/share/mlhub/examples-seeded")
SHARE = "share/mlhub/notebook-scripts/"
NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
NO_REAL_DIRECTORY = {errno.EEXIST, errno.ENOTDIR, errno.ELOOP}
REAL_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class SeedError(Exception):
    """The home must not be touched; the message says why."""


def seed_home(home: Path) -> list[str]:
    """Copy the examples into ``~/mlhub-examples`` if that was never done for this home.

    A repeat does nothing: a marker in the home remembers, so what a user deleted or changed
    stays as the user left it. An interrupted run is taken up again by the next.

    Args:
        home: the home of the user that this process runs as.

    Returns:
        Names of the files written.

    Raises:
        SeedError: if the home belongs to someone else, or something that is no real directory
            lies where the examples go.
        OSError: if the home cannot be written.
    """
    if home.stat().st_uid != os.geteuid():
        raise SeedError(f"{home} belongs to another user")
    marker = home / MARKER
    if os.path.lexists(marker):
        return []
    written = copy_new(examples(), home / FOLDER)
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.write_text("".join(f"{name}\n" for name in written), encoding="utf-8")
    return written


def copy_new(files: list[Path], target: Path) -> list[str]:
    """Copy files into a directory, skipping names that exist in any form; returns names written."""
    with real_directory(target) as directory:
        return [path.name for path in files if write_new(path, directory)]


@contextmanager
def real_directory(path: Path) -> Iterator[int]:
    """Make the directory if need be and open it, without following a link in its place."""
    try:
        path.mkdir(mode=0o755, exist_ok=True)
        directory = os.open(path, REAL_DIRECTORY)
    except OSError as error:
        if error.errno not in NO_REAL_DIRECTORY:
            raise
        raise SeedError(f"{path} is no directory of its own, so it is left alone") from error
    try:
        yield directory
    finally:
        os.close(directory)


def write_new(source: Path, directory: int) -> bool:
    """Write one file that must not exist yet; a part of a file is never left behind."""
    content = source.read_bytes()
    try:
        descriptor = os.open(source.name, NEW_FILE, 0o644, dir_fd=directory)
    except FileExistsError:
        return False
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    except OSError:
        os.unlink(source.name, dir_fd=directory)
        raise
    return True


def examples() -> list[Path]:
    """The example files: those of the installed wheel, else those of the source checkout."""
    files = installed_examples() or sorted(checkout_folder().iterdir())
    return [path for path in files if path.is_file() and not path.name.startswith(".")]


def installed_examples() -> list[Path]:
    """Files that the wheel put under ``share/mlhub/notebook-scripts`` of its environment."""
    try:
        recorded = distribution("mlhub").files or []
    except PackageNotFoundError:
        return []
    return sorted(Path(str(f.locate())).resolve() for f in recorded if SHARE in f.as_posix())


def checkout_folder() -> Path:
    """``notebook-scripts/`` of a source checkout or an editable installation."""
    return Path(__file__).resolve().parents[2] / "notebook-scripts"


def main() -> int:
    """Seed the home of whoever runs this; for images and for spawners that prefer a command."""
    try:
        written = seed_home(Path.home())
    except (OSError, SeedError) as error:
        print(f"mlhub: the example notebooks were not copied: {error}", file=sys.stderr)
        return 1
    for name in written:
        print(Path(FOLDER) / name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
