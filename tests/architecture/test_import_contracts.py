"""The import contracts of setup.cfg hold, and they would not if a layer were skipped."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")


def lint(*words: str, at: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LINT_IMPORTS, "--no-cache", *words], cwd=at, capture_output=True, text=True, check=False
    )


def test_every_import_points_downwards():
    answer = lint()
    assert answer.returncode == 0, answer.stdout[-6000:] + answer.stderr


def test_an_import_that_points_upwards_is_found(tmp_path: Path):
    package = tmp_path / "mlhub"
    for name in ("core", "broker"):
        (package / name).mkdir(parents=True)
        (package / name / "__init__.py").write_text("")
    (package / "__init__.py").write_text("")
    (package / "core" / "wrong.py").write_text("import mlhub.broker\n")
    (tmp_path / "setup.cfg").write_text(
        "[importlinter]\nroot_package = mlhub\n"
        "[importlinter:contract:layers]\nname = layers\ntype = layers\n"
        "layers =\n    mlhub.broker\n    mlhub.core\n"
    )
    answer = lint(at=tmp_path)
    assert answer.returncode == 1
    assert "mlhub.core.wrong -> mlhub.broker" in answer.stdout
