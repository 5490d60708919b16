"""Makes sure that the machine has what the tests need beside Python; runs on a plain Python."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

DEBIAN = Path("/usr/bin/apt-get")
FONTS = Path("/usr/share/fonts")
NAMES = {
    "chromium": "the browser that the browser tests drive",
    "fonts-dejavu-core": "letters for that browser",
    "libatomic1": "a library that the browser's driver is linked with",
    "python3-venv": "the module `venv`, from which the environment is made",
}


def has_venv() -> bool:
    """Tells whether the system's Python can make virtual environments."""
    code = "import ensurepip, venv"
    python = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable
    answer = subprocess.run([python, "-c", code], capture_output=True, check=False)
    return answer.returncode == 0


def has_library(name: str) -> bool:
    """Tells whether the system's loader finds a shared library."""
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def missing() -> list[str]:
    """Names the packages whose part is not on this machine."""
    here = {
        "chromium": shutil.which("chromium") is not None,
        "fonts-dejavu-core": any(FONTS.rglob("*.ttf")),
        "libatomic1": has_library("libatomic.so.1"),
        "python3-venv": has_venv(),
    }
    return [name for name in NAMES if not here[name]]


def install(packages: list[str]) -> int:
    """Installs packages of the operating system; gives the exit code."""
    print("installing " + ", ".join(f"{p}: {NAMES[p]}" for p in packages), flush=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        answer = subprocess.run([DEBIAN, "--quiet", *words], env=environment, check=False)
        if answer.returncode:
            return answer.returncode
    return 0


def main() -> int:
    """Installs what is missing where that is possible, and says what is missing otherwise."""
    packages = missing()
    if packages and os.geteuid() == 0 and DEBIAN.exists():
        return install(packages)
    for package in packages:
        print(f"mlhub: missing for the tests: {package}, {NAMES[package]}", file=sys.stderr)
    return 0  # the tests that need the part say so themselves


if __name__ == "__main__":
    sys.exit(main())
