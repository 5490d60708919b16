"""What a right mlhub.yaml becomes: settings, the core's policy, and the published schema."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from textwrap import dedent
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from mlhub.configuration import (
    ConfigurationError,
    Settings,
    check_text,
    default_yaml,
    json_schema,
    load,
    schema_text,
    slug_of,
)
from mlhub.core.devices import Sharing
from mlhub.core.policy import Limit

ROOT = Path(__file__).parents[2]
WHOLE = """
ledger: {url_file: secrets/ledger-url}
inventory: {source: simulated, simulated_file: devices.yaml}
flavors:
  - name: a100
    display_name: A100 80 GB
    model: "*A100*"
    memory: 80 GiB
    price: 1.20
    max_count: 4
    selector: {zone: a}
  - name: a100-1g.10gb
    model: "*A100*"
    profile: 1g.10gb
    sharing: time-slicing
    memory: 10 GiB
profiles:
  - display_name: Torch
    duration: 4h
    kubespawner_override:
      cpu_limit: 4
      gpu: {flavor: a100, count: 2}
    profile_options:
      gpu:
        display_name: GPU
        choices:
          one: {display_name: one, default: true, kubespawner_override: {gpu: {count: 1}}}
        unlisted_choice:
          enabled: true
          validation_regex: "[0-9]"
          kubespawner_override: {gpu: {count: "{value}"}}
limits:
  everyone: {devices: 4, memory: 320 GiB, servers: 4, flavors: [a100], duration: 24h}
  users: {"1001": {devices: 8}}
  members: {staff: {}}
  groups: {staff: {devices: 16, memory: 1 TiB, servers: 9}}
priorities: {staff: 10}
times: {duration: 4h, claim_window: 5min, notice: 10min, start_timeout: 60, stop_timeout: 20s}
authentication:
  pam: {allow_all: true}
hub: {base_url: gpu, public_url: "https://gpu.example.org"}
mlflow: {enabled: false}
simulation: {clock_file: clock}
"""


@pytest.fixture
def whole(tmp_path: Path) -> Settings:
    (tmp_path / "mlhub.yaml").write_text(WHOLE)
    return load(tmp_path / "mlhub.yaml")


def test_flavors_become_the_cores_with_their_units(whole: Settings) -> None:
    first, second = whole.policy().flavors
    assert (first.name, first.display_name, first.model) == ("a100", "A100 80 GB", "*A100*")
    assert (first.memory, first.price, first.max_count) == (81_920, Decimal("1.2"), 4)
    assert (first.resource, dict(first.selector)) == ("nvidia.com/gpu", {"zone": "a"})
    assert (second.display_name, second.profile) == ("a100-1g.10gb", "1g.10gb")
    assert second.sharing is Sharing.TIME_SLICING
    assert second.resource == "nvidia.com/mig-1g.10gb.shared"


def test_limits_become_the_cores_with_their_units(whole: Settings) -> None:
    policy = whole.policy()
    day = timedelta(hours=24)
    assert policy.everyone == Limit(4, 327_680, 4, frozenset({"a100"}), day)
    assert policy.users == {"1001": Limit(devices=8)}
    assert policy.members == {"staff": Limit()}
    assert policy.groups == {"staff": Limit(16, 1_048_576, 9)}
    assert policy.priority(("staff",)) == 10


def test_times_become_the_cores(whole: Settings) -> None:
    policy = whole.policy()
    assert policy.duration == timedelta(hours=4)
    assert policy.claim_window == timedelta(minutes=5)
    assert policy.notice == timedelta(minutes=10)
    assert policy.start_timeout == timedelta(minutes=1)
    assert policy.stop_timeout == timedelta(seconds=20)
    assert policy.answer_memory == timedelta(hours=24)


def test_profiles_stay_the_plain_data_that_was_written(whole: Settings) -> None:
    written = YAML(typ="safe").load(WHOLE)["profiles"]
    assert list(whole.profiles) == written
    assert slug_of(whole.profiles[0]) == "torch"


def test_relative_files_count_from_the_directory_of_the_file(
    whole: Settings, tmp_path: Path
) -> None:
    assert whole.ledger.url_file == tmp_path / "secrets/ledger-url"
    assert whole.inventory.simulated_file == tmp_path / "devices.yaml"
    assert whole.simulation.clock_file == tmp_path / "clock"


def test_a_base_url_gets_its_slashes(whole: Settings) -> None:
    assert whole.hub.prefix == "/gpu/"
    assert Settings().hub.prefix == "/"


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    (tmp_path / "mlhub.yaml").write_text("# nothing\n")
    assert load(tmp_path / "mlhub.yaml") == Settings()
    assert Settings().policy().duration == timedelta(hours=8)


@pytest.mark.parametrize("variable", ["MLHUB_CONFIG", "MLHUB_HOME"])
def test_the_environment_names_the_file(tmp_path: Path, variable: str) -> None:
    file = tmp_path / "mlhub.yaml"
    file.write_text("hub: {base_url: /there/}")
    value = file if variable == "MLHUB_CONFIG" else tmp_path
    assert load(environ={variable: str(value)}).hub.prefix == "/there/"


def test_without_a_name_in_the_environment_the_error_says_which_to_set() -> None:
    with pytest.raises(ConfigurationError, match="MLHUB_CONFIG"):
        load(environ={})


def test_a_wrong_file_raises_one_error_that_has_every_line(tmp_path: Path) -> None:
    file = tmp_path / "mlhub.yaml"
    file.write_text("limts: {}\ntimes: {duration: soon}\n")
    with pytest.raises(ConfigurationError) as caught:
        load(file)
    assert str(caught.value).splitlines() == [
        f"{file}:1:1: limts: There is no setting 'limts' here. Did you mean 'limits'?",
        f"{file}:2:19: times.duration: 'soon' is not a duration. Write for example 8h or 1h30m.",
    ]


def test_the_published_schema_is_current() -> None:
    committed = ROOT / "docs/reference/mlhub.schema.json"
    assert committed.read_text() == schema_text(), (
        "write it anew: mlhub config schema > docs/reference/mlhub.schema.json"
    )


def test_the_schema_is_a_schema_and_accepts_what_we_accept() -> None:
    validator = jsonschema.Draft202012Validator(json_schema())
    validator.check_schema(json_schema())
    for text in (WHOLE, default_yaml()):
        assert list(validator.iter_errors(YAML(typ="safe").load(text))) == []


def test_the_defaults_in_the_schema_are_values_that_it_accepts() -> None:
    schema = json_schema()
    for name, part in schema["$defs"].items():
        for key, rule in part.get("properties", {}).items():
            if "default" in rule:
                whole = {"$defs": schema["$defs"], **rule}
                found = list(jsonschema.Draft202012Validator(whole).iter_errors(rule["default"]))
                assert found == [], f"{name}.{key}"
    assert schema["$defs"]["TimesSettings"]["properties"]["duration"]["default"] == "8 h"


@pytest.mark.parametrize(
    "text",
    [
        "limts: {}",
        "times: {duration: soon}",
        "times: {duration: -1}",
        "limits: {everyone: {memory: much}}",
        "flavors: [{name: Big One}]",
        "inventory: {source: nvm}",
        "profiles: [{slug: x}]",
    ],
)
def test_the_schema_refuses_what_we_refuse(text: str) -> None:
    document: dict[str, Any] = YAML(typ="safe").load(dedent(text))
    assert list(jsonschema.Draft202012Validator(json_schema()).iter_errors(document))


def test_the_reference_names_every_setting() -> None:
    page = (ROOT / "docs/reference/configuration.md").read_text()
    missing = [
        f"{name}.{key}"
        for name, part in json_schema()["$defs"].items()
        for key in part.get("properties", {})
        if f"`{key}`" not in page
    ]
    assert missing == []


def test_every_example_of_the_guide_is_right() -> None:
    page = (ROOT / "docs/how-to/configure.md").read_text()
    examples = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert len(examples) > 6
    for text in examples:
        found = check_text(text, name="configure.md", directory=Path("/")).problems
        assert found == (), text
