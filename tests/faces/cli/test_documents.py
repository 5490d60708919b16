"""What the reference says about settings, commands and exit codes is what the program has."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
import typer

from mlhub.cli import build
from mlhub.cli.exits import Exit
from mlhub.configuration.schema import json_schema

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs/reference/command-line.md"
README = ROOT / "README.md"


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    """The tool that writes the generated parts."""
    spec = importlib.util.spec_from_file_location("reference", ROOT / "tools/reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["configuration.md", "command-line.md"])
def test_what_is_made_from_the_program_is_current(reference: ModuleType, name: str) -> None:
    page = (ROOT / "docs/reference" / name).read_text()
    assert page == reference.renewed(name), "write it anew: make docs"


def test_every_section_and_every_setting_has_a_line_with_its_meaning(
    reference: ModuleType,
) -> None:
    text = reference.settings_text()
    for name, part in json_schema()["$defs"].items():
        for key, rule in part.get("properties", {}).items():
            assert f"| `{key}` |" in text, f"{name}.{key}"
            assert rule.get("description"), f"{name}.{key} does not say what it means"


def test_every_command_and_option_has_a_line_with_its_meaning(reference: ModuleType) -> None:
    text, found = (
        reference.commands_text(),
        dict(reference.commands(typer.main.get_command(build()))),
    )
    assert "mlhub config check" in found
    for words, command in found.items():
        assert f"### `{words}" in text
        for option in command.params:
            assert option.param_type_name == "argument" or option.help, (words, option.name)


def test_the_readme_names_every_command(reference: ModuleType) -> None:
    page = README.read_text()
    for words, _ in reference.commands(typer.main.get_command(build())):
        command = words.removeprefix("mlhub ")
        assert f"`{command}`" in page or f"`mlhub {command}" in page, words


def test_every_exit_code_is_on_the_page() -> None:
    rows = {int(number) for number in re.findall(r"^\| (\d) \|", PAGE.read_text(), re.MULTILINE)}
    assert rows == {int(code) for code in Exit}
