"""Pins every package that the stack and its tests use, for Python 3.11 to 3.13 on every system."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LISTS = ROOT / "requirements"


def compile_list(output: Path, *words: str) -> None:
    """Writes one list, with the hash of every file so that nothing else can be installed."""
    uv = Path(sys.executable).with_name("uv")
    fixed = ["--universal", "--python-version", "3.11", "--generate-hashes", "--quiet"]
    # The header and the index's address would name the machine that made the list.
    quiet = ["--no-header", "--no-emit-index-url", "--no-emit-find-links"]
    command = [uv, "pip", "compile", *fixed, *quiet, *words, "pyproject.toml"]
    subprocess.run([*command, "--output-file", output], cwd=ROOT, check=True)


def main() -> None:
    """Entry point of `make lock`."""
    stack = LISTS / "stack.txt"
    extras = ["--extra", "workbench", "--extra", "node"]
    compile_list(stack, *extras, "--upgrade")
    compile_list(LISTS / "test.txt", *extras, "--extra", "test", "--constraint", str(stack))


if __name__ == "__main__":
    main()
