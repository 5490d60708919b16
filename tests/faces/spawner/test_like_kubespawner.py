"""A profile_list means here what it means to KubeSpawner: both are asked the same 300 questions."""

from __future__ import annotations

import copy
import json
import os
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mlhub.core.errors import BadInput
from mlhub.profiles import merged, read_profiles, resolve
from tests.hub_55 import HUB, cache, make

KUBESPAWNER = "jupyterhub-kubespawner==7.1.0"
BASE = {
    "environment": {"Z": "0"},
    "node_selector": {},
    "extra_resource_limits": {},
    "image": "base",
}
CLUSTER = {
    "current-context": "none",
    "contexts": [{"name": "none", "context": {"cluster": "none", "user": "none"}}],
    "clusters": [{"name": "none", "cluster": {"server": "http://127.0.0.1:9"}}],
    "users": [{"name": "none", "user": {}}],
}
NAMES = ["Small", "Large one", "GPU (A100)", "Ünï", "x.y_z"]


def override(dice: random.Random) -> dict[str, Any]:
    values = {
        "environment": {dice.choice("ABZ"): dice.choice(["1", "2", None]) for _ in range(2)},
        "node_selector": {"gpu": dice.choice(["a100", "t4", None])},
        "extra_resource_limits": {"memory.example/x": dice.choice(["1", "2"])},
        "image": dice.choice(["torch", "tf"]),
    }
    return {key: values[key] for key in dice.sample(sorted(values), dice.randint(0, 3))}


def option(dice: random.Random) -> dict[str, Any]:
    choices = {
        name: {"display_name": name, "kubespawner_override": override(dice)}
        for name in dice.sample(["one", "two", "three"], dice.randint(1, 3))
    }
    if dice.random() < 0.4:
        choices[dice.choice(list(choices))]["default"] = True
    found: dict[str, Any] = {"display_name": "Option", "choices": choices}
    if dice.random() < 0.4:
        found["unlisted_choice"] = {
            "enabled": dice.random() < 0.8, "display_name": "Other",
            "validation_regex": "^[a-z]+$",
            "kubespawner_override": {"image": "reg/{value}:{tag}", "environment": {"O": "{value}"}},
        }  # fmt: skip
    return found


def profile(dice: random.Random, name: str) -> dict[str, Any]:
    found: dict[str, Any] = {"display_name": name, "kubespawner_override": override(dice)}
    if dice.random() < 0.4:
        found["slug"] = f"slug-{NAMES.index(name)}"
    if dice.random() < 0.7:
        found["profile_options"] = {key: option(dice) for key in ("a", "b")[: dice.randint(1, 2)]}
    return found


def case(dice: random.Random) -> dict[str, Any]:
    profiles = [profile(dice, name) for name in dice.sample(NAMES, dice.randint(1, 3))]
    if dice.random() < 0.5:
        dice.choice(profiles)["default"] = True
    slugs = [row.slug for row in read_profiles(profiles)]
    options: dict[str, Any] = {}
    if dice.random() < 0.8:
        options["profile"] = dice.choice(slugs)
    chosen = next((p for p, slug in zip(profiles, slugs, strict=True)
                   if slug == options.get("profile")), None)  # fmt: skip
    for key, found in (chosen or {}).get("profile_options", {}).items():
        if dice.random() < 0.6:
            options[key] = dice.choice(list(found["choices"]))
        if "unlisted_choice" in found and dice.random() < 0.5:
            options[f"{key}--unlisted-choice"] = dice.choice(["mine", "NOT"])
    return {"profiles": profiles, "options": options}


@pytest.fixture(scope="module")
def kubespawner() -> Path:
    """A Python with KubeSpawner, made once."""
    place = cache() / "kubespawner-7.1.0"
    if not (place / "whole").exists():
        make(place, [KUBESPAWNER, HUB])
    return place / "bin" / "python"


def test_three_hundred_random_choices_set_what_kubespawner_sets(
    kubespawner: Path, tmp_path: Path
) -> None:
    cluster = tmp_path / "cluster.json"  # KubeSpawner wants one; it is never asked
    cluster.write_text(json.dumps(CLUSTER))
    dice = random.Random(20261121)
    cases = [case(dice) for _ in range(300)]
    theirs = subprocess.run(
        [kubespawner, Path(__file__).with_name("kubespawner_says.py")],
        input=json.dumps(cases), capture_output=True, text=True, timeout=120, check=True,
        env=os.environ | {"KUBECONFIG": str(cluster)},
    )  # fmt: skip
    said = json.loads(theirs.stdout)
    assert sum(row is None for row in said) < 100
    for one, expected in zip(cases, said, strict=True):
        before = copy.deepcopy(one)
        assert ours(one) == expected, one
        assert one == before


def ours(one: dict[str, Any]) -> dict[str, Any] | None:
    try:
        chosen = resolve(read_profiles(one["profiles"]), one["options"], base=BASE)
    except BadInput:
        return None
    return merged(BASE, chosen.overrides)
