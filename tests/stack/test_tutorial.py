"""The commands of the tutorial, as they stand there, against a running stack."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.running import MLHUB, Stack

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial" / "first-server.md"
COMMANDS = [
    line.removeprefix("$ ") for line in TUTORIAL.read_text().splitlines() if line.startswith("$ ")
]


@pytest.mark.stack
@pytest.mark.parametrize("command", COMMANDS)
def test_the_tutorials_commands_work(stack: Stack, command: str) -> None:
    path = f"{MLHUB.parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"MLHUB_HOME": str(stack.home), "PATH": path}
    ran = subprocess.run(
        command.split(), env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout


def test_every_page_that_the_documentation_links_to_is_there() -> None:
    docs = TUTORIAL.parents[1]
    pages = [docs.parent / "README.md", *docs.rglob("*.md")]
    missing = [
        f"{page.name}: {link}"
        for page in pages
        for link in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", page.read_text())
        if not (page.parent / link).exists()
    ]
    assert missing == []
