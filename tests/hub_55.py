"""A Python with JupyterHub 5.5, which z2jh runs, beside the one of the tests; made once.

    python = hub_55_python()       # its `-m jupyterhub` is 5.5; give it this tree as PYTHONPATH

It is a virtual environment in the cache of the tests' other parts, named by what is in it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HUB = "jupyterhub==5.5.4"


def hub_55_python() -> str:
    """Gives the Python of the environment, and makes it first if it is missing."""
    wanted = sorted({HUB, *dependencies()})
    digest = hashlib.sha256("\n".join([sys.version, *wanted]).encode()).hexdigest()[:12]
    place = cache() / f"hub-5.5.4-{digest}"
    if not (place / "whole").exists():
        make(place, wanted)
    return str(place / "bin" / "python")


def dependencies() -> list[str]:
    """What mlhub itself needs; the hub's version is chosen here."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [name for name in project["dependencies"] if not name.startswith("jupyterhub>")]


def cache() -> Path:
    """Where the tests keep what they install."""
    named = os.environ.get("MLHUB_NODE_CACHE")
    return Path(named).parent if named else Path.home() / ".cache" / "mlhub"


def make(place: Path, wanted: list[str]) -> None:
    """Installs the environment; what an interrupted start left is made anew."""
    shutil.rmtree(place, ignore_errors=True)
    venv.create(place, with_pip=True)
    python = str(place / "bin" / "python")
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    installer = (
        [uv, "pip", "install", "--python", python] if uv else [python, "-m", "pip", "install"]
    )
    subprocess.run([*installer, "--quiet", *wanted], check=True)
    (place / "whole").touch()
