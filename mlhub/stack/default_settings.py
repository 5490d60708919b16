"""The first mlhub.yaml: written once into a new home, and never touched again."""

from __future__ import annotations

from pathlib import Path

TEMPLATE = Path(__file__).with_name("default_mlhub.yaml")


def write_if_missing(path: Path) -> bool:
    """Writes the default settings unless there are some.

    Args:
        path: Where `mlhub.yaml` belongs.

    Returns:
        Whether they were written now.
    """
    try:
        with path.open("x") as file:
            file.write(TEMPLATE.read_text())
    except FileExistsError:
        return False
    path.chmod(0o600)
    return True
