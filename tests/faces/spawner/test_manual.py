"""What the manual shows is accepted by the configuration and means what it says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from traitlets.config import Configurable

from mlhub.configuration import check_text
from mlhub.core.devices import Flavor
from mlhub.profiles import GpuAsk, read_profiles, resolve
from mlhub.spawner.local import LocalGPUSpawner

ROOT = Path(__file__).resolve().parents[3]
HOW_TO = ROOT / "docs/how-to/profiles.md"
REFERENCE = ROOT / "docs/reference/profiles.md"
EXISTING = ROOT / "docs/how-to/existing-hub.md"
FLAVORS = [
    Flavor("a100", "A100", selector={"gpu": "a100"}, max_count=4),
    Flavor("h100", "H100", selector={"gpu": "h100"}, max_count=4),
]


def blocks(path: Path, language: str) -> list[str]:
    found = re.findall(rf"```{language}\n(.*?)```", path.read_text(), re.DOTALL)
    assert found
    return found


def whole(block: str) -> str:
    """A block that shows one profile, as a file."""
    return block if block.startswith(("profiles:", "flavors:")) else f"profiles:\n{block}"


@pytest.mark.parametrize("block", blocks(HOW_TO, "yaml"))
def test_every_list_in_the_manual_is_accepted(block: str, tmp_path: Path) -> None:
    checked = check_text(whole(block), name="mlhub.yaml", directory=tmp_path)
    assert [str(problem) for problem in checked.errors] == []
    assert checked.settings is not None
    read_profiles(list(checked.settings.profiles), FLAVORS)


def profiles_of(block: str) -> Any:
    return read_profiles(YAML(typ="safe").load(whole(block))["profiles"], FLAVORS)


def test_the_kubernetes_list_asks_for_what_it_says() -> None:
    profiles = profiles_of(blocks(HOW_TO, "yaml")[-1])
    assert resolve(profiles, {}, FLAVORS).ask == GpuAsk("a100", 2)


def test_the_user_options_of_the_manual_are_understood() -> None:
    (shown,) = blocks(REFERENCE, "json")
    profiles = [
        {"display_name": "T", "slug": "torch", "gpus": "any",
         "profile_options": {"size": {"choices": {"large": {}}}}}
    ]  # fmt: skip
    chosen = resolve(read_profiles(profiles, FLAVORS), json.loads(shown), FLAVORS)
    assert (chosen.ask, chosen.wait) == (GpuAsk("a100", 2), True)


@pytest.mark.parametrize("path", [HOW_TO, EXISTING])
def test_the_programs_of_the_manual_are_python(path: Path) -> None:
    for block in blocks(path, "python"):
        compile(block, str(path), "exec")


def test_every_setting_of_the_manual_exists_and_none_is_left_out() -> None:
    text = REFERENCE.read_text()
    table = text[text.index("## Settings of the spawner") : text.index("## Fields of the form")]
    named = set(re.findall(r"`(?:c\.\w+\.)?(\w+)`", "".join(
        row.split("|")[1] for row in table.splitlines() if row.startswith("| `"))))  # fmt: skip
    ours: set[str] = set()
    for kind in LocalGPUSpawner.__mro__:
        if issubclass(kind, Configurable) and kind.__module__.startswith("mlhub."):
            ours |= set(kind.class_own_traits(config=True))
    assert named == ours
