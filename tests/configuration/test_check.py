"""What `config check` finds: every problem, with its path, its place in the file and a remedy."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from mlhub.configuration import Checked, Severity, check, check_text, default_yaml


def checked(text: str) -> Checked:
    return check_text(dedent(text).lstrip("\n"), name="mlhub.yaml", directory=Path("/etc/mlhub"))


def lines(text: str) -> list[str]:
    result = checked(text)
    return [problem.line(result.file) for problem in result.problems]


ONE_MISTAKE = {
    "an unknown key at the top, with the one that was meant": (
        "limts: {}",
        "mlhub.yaml:1:1: limts: There is no setting 'limts' here. Did you mean 'limits'?",
    ),
    "an unknown key deep down": (
        """
        limits:
          users:
            ada:
              devcies: 2
        """,
        "mlhub.yaml:4:7: limits.users.ada.devcies: There is no setting 'devcies' here. "
        "Did you mean 'devices'?",
    ),
    "a key that belongs elsewhere": (
        "limits: {duration: 8h}",
        "mlhub.yaml:1:10: limits.duration: There is no setting 'duration' here. "
        "It belongs under `limits.everyone`.",
    ),
    "a key that is nowhere": (
        "hub: {xyzzy: 1}",
        "mlhub.yaml:1:7: hub.xyzzy: There is no setting 'xyzzy' here. "
        "There are: base_url, public_url.",
    ),
    "a duration that is none": (
        """
        times:
          duration: soon
        """,
        "mlhub.yaml:2:13: times.duration: 'soon' is not a duration. Write for example 8h or 1h30m.",
    ),
    "a duration of nothing": (
        "times: {claim_window: 0s}",
        "mlhub.yaml:1:23: times.claim_window: It must be longer than nothing. "
        "Write for example 8h.",
    ),
    "a list where a duration belongs": (
        "times: {duration: [8h]}",
        "mlhub.yaml:1:19: times.duration: \"['8h']\" is not a duration. "
        "Write for example 8h or 1h30m.",
    ),
    "an amount of memory that is none": (
        "limits: {everyone: {memory: much}}",
        "mlhub.yaml:1:29: limits.everyone.memory: 'much' is not an amount of memory. "
        "Write for example 80 GiB.",
    ),
    "a number that is none": (
        "limits: {everyone: {devices: two}}",
        "mlhub.yaml:1:30: limits.everyone.devices: This must be a whole number.",
    ),
    "a number below nothing": (
        "limits: {everyone: {devices: -1}}",
        "mlhub.yaml:1:30: limits.everyone.devices: This must be at least 0.",
    ),
    "a word that is not among the choices": (
        "inventory: {source: simulatd}",
        "mlhub.yaml:1:21: inventory.source: 'simulatd' is not one of: auto, nvml, simulated, none. "
        "Did you mean 'simulated'?",
    ),
    "a missing key": (
        "flavors:\n  - model: '*A100*'\n",
        "mlhub.yaml:2:5: flavors[0].name: `name` is missing.",
    ),
    "a scalar where a section belongs": (
        "limits: 3",
        "mlhub.yaml:1:9: limits: This must be a section: `key: value` lines below it.",
    ),
    "a section where a list belongs": (
        "profiles: {torch: {}}",
        "mlhub.yaml:1:11: profiles: This must be a list: lines that begin with `- `.",
    ),
    "a flavor's name with spaces": (
        "flavors: [{name: 'A100 80GB'}]",
        "mlhub.yaml:1:18: flavors[0].name: 'A100 80GB' is not spelled right. "
        "Use small letters, digits, '-' and '.'.",
    ),
    "a MIG profile that is none": (
        "flavors: [{name: a, profile: half}]",
        "mlhub.yaml:1:30: flavors[0].profile: 'half' is no MIG profile. Such as 1g.10gb.",
    ),
    "a password in the ledger's address": (
        "ledger: {url: 'postgresql+psycopg://mlhub:s3cret@db/mlhub'}",
        "mlhub.yaml:1:15: ledger.url: A password stands in the address. "
        "Put the whole address into a file of mode 600 and name it by `url_file`.",
    ),
    "an address of no ledger": (
        "ledger: {url: mysql://db/mlhub}",
        "mlhub.yaml:1:15: ledger.url: This is no address of a ledger. "
        "Write sqlite:////path/to/file or postgresql+psycopg://user@host/database.",
    ),
    "a ledger wherever the service happens to work": (
        "ledger: {url: 'sqlite:///ledger.sqlite'}",
        "mlhub.yaml:1:15: ledger.url: This is no address of a ledger. "
        "Write sqlite:////path/to/file or postgresql+psycopg://user@host/database.",
    ),
    "the ledger in two places": (
        "ledger: {url: 'sqlite:////a', url_file: b}",
        "mlhub.yaml:1:9: ledger: `url` and `url_file` both say where it is: remove one.",
    ),
    "a file of simulated devices that nobody reads": (
        "inventory: {source: none, simulated_file: x}",
        "mlhub.yaml:1:12: inventory: `simulated_file` is not read where `source` is none.",
    ),
    "a sign of trouble that there is not": (
        "inventory: {health: {fever: sick}}",
        "mlhub.yaml:1:21: inventory.health: There is no sign 'fever'. "
        "Write xid-<number>, or one of ecc-contained, ecc-uncorrected, page-pending, pages-bad, "
        "recovery-bus-reset, recovery-drain-p2p, recovery-imex, recovery-reboot, recovery-reset, "
        "row-remap-failed, row-remap-pending, throttle-heat, throttle-power, throttle-power-cap.",
    ),
    "a verdict that there is not": (
        "inventory: {health: {xid-74: lost}}",
        "mlhub.yaml:1:30: inventory.health.xid-74: 'lost' is not one of: ignore, warn, sick.",
    ),
    "a provider without its client": (
        """
        authentication:
          providers:
            work: {type: github, client_secret: {env: SECRET}, allow_all: true}
        """,
        "mlhub.yaml:3:5: authentication.providers.work.client_id: `client_id` is missing.",
    ),
    "a sign-in that contradicts itself": (
        """
        authentication:
          local_password: true
          pam: {allow_all: true}
        """,
        "mlhub.yaml:2:3: authentication: `local_password` and `pam` both ask for a name and a "
        "password: remove one of them.",
    ),
    "a count that is a word": (
        "profiles: [{display_name: A, kubespawner_override: {gpu: {flavor: a100, count: two}}}]",
        "mlhub.yaml:1:80: profiles[0].kubespawner_override.gpu.count: "
        "This must be a whole number.",
    ),
    "an unknown key of our override": (
        "profiles: [{display_name: A, kubespawner_override: {gpu: {flavour: a100}}}]",
        "mlhub.yaml:1:59: profiles[0].kubespawner_override.gpu.flavour: "
        "There is no setting 'flavour' here. Did you mean 'flavor'?",
    ),
    "a regular expression that is none": (
        """
        profiles:
          - display_name: A
            profile_options:
              image:
                unlisted_choice: {enabled: true, validation_regex: '['}
        """,
        "mlhub.yaml:5:60: profiles[0].profile_options.image.unlisted_choice.validation_regex: "
        "This is no regular expression: unterminated character set at position 0.",
    ),
    "a key that is there twice": (
        """
        times: {duration: 8h}
        hub: {}
        times: {duration: 9h}
        """,
        "mlhub.yaml:3:1: times: This key is there twice, first in line 1. Remove one of them.",
    ),
    "a tab": (
        "times:\n\tduration: 8h\n",
        "mlhub.yaml:2:1: A tab stands where YAML wants spaces. Indent with spaces.",
    ),
    "a bracket that is not closed": (
        "flavors: [",
        "mlhub.yaml:1:11: Expected the node content, but found '<stream end>'.",
    ),
    "a tag that nobody knows": (
        "hub: {base_url: !secret x}",
        "mlhub.yaml:1:17: hub.base_url: 'x' cannot be read. Quote it.",
    ),
    "a list instead of a section": (
        "- limits",
        "mlhub.yaml:1:1: The file must be a section: `key: value` lines.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ONE_MISTAKE)
def test_a_mistake_is_found_with_its_place_and_a_remedy(name: str) -> None:
    text, line = ONE_MISTAKE[name]
    assert line in lines(text)


CONTRADICTIONS = {
    "a limit names a flavor that is not there": (
        """
        flavors: [{name: a100, memory: 80 GiB}]
        limits: {members: {students: {flavors: [a10]}}}
        """,
        "mlhub.yaml:2:40: limits.members.students.flavors: There is no flavor 'a10' in `flavors`. "
        "Did you mean 'a100'?",
    ),
    "a choice names a flavor that is not there": (
        """
        flavors: [{name: a100}]
        profiles:
          - display_name: A
            profile_options:
              gpu:
                choices:
                  big: {kubespawner_override: {gpu: {flavor: h200}}}
        """,
        "mlhub.yaml:7:54: profiles[0].profile_options.gpu.choices.big.kubespawner_override.gpu."
        "flavor: There is no flavor 'h200' in `flavors`. There are: a100.",
    ),
    "a resource that no flavor has": (
        """
        flavors: [{name: small, profile: 1g.10gb}]
        profiles:
          - display_name: A
            kubespawner_override: {extra_resource_limits: {nvidia.com/gpu: "1"}}
        """,
        "mlhub.yaml:4:52: profiles[0].kubespawner_override.extra_resource_limits.nvidia.com/gpu: "
        "No flavor has 'nvidia.com/gpu'. The flavors have: nvidia.com/mig-1g.10gb.",
    ),
    "two profiles of one slug": (
        """
        profiles:
          - {display_name: Torch, slug: torch}
          - {display_name: torch}
        """,
        "mlhub.yaml:3:20: profiles[1].display_name: Two have the slug 'torch': this and "
        "profiles[0]. Give one of them another.",
    ),
    "two flavors of one name": (
        "flavors: [{name: a, model: x}, {name: a, model: y}]",
        "mlhub.yaml:1:39: flavors[1].name: Two have the flavor name 'a': this and flavors[0]. "
        "Give one of them another.",
    ),
    "two default profiles": (
        """
        profiles:
          - {display_name: A, default: true}
          - {display_name: B, default: true}
        """,
        "mlhub.yaml:3:32: profiles[1].default: Another one before it is the default already. "
        "Leave `default: true` at one of them.",
    ),
    "a default duration that nobody may ask for": (
        """
        times: {duration: 12h}
        limits: {everyone: {duration: 8h}}
        """,
        "mlhub.yaml:2:31: limits.everyone.duration: 8 h is less than `times.duration`, 12 h. "
        "Raise this, or shorten `times.duration`.",
    ),
    "a profile's duration above the limit": (
        """
        profiles: [{display_name: A, duration: 3d}]
        limits: {everyone: {duration: 1d}}
        """,
        "mlhub.yaml:1:40: profiles[0].duration: 3 d is more than `limits.everyone.duration`, 1 d. "
        "Shorten it, or raise the limit.",
    ),
    "a notice as long as the claim": (
        "times: {duration: 30min, notice: 30min}",
        "mlhub.yaml:1:34: times.notice: 30 min of notice is not shorter than `times.duration`, "
        "30 min: everybody would be warned at once. Shorten it.",
    ),
    "more GPUs than one claim may have": (
        """
        flavors: [{name: a100, max_count: 2}]
        profiles: [{display_name: A, kubespawner_override: {gpu: {flavor: a100, count: 4}}}]
        """,
        "mlhub.yaml:2:80: profiles[0].kubespawner_override.gpu.count: It asks for 4; `max_count` "
        "of a100 is 2.",
    ),
    "more GPUs than anybody may hold": (
        """
        profiles: [{display_name: A, kubespawner_override: {gpu: {flavor: a100, count: 4}}}]
        limits: {everyone: {devices: 1}, members: {staff: {devices: 2}}}
        """,
        "mlhub.yaml:1:80: profiles[0].kubespawner_override.gpu.count: It asks for 4; nobody's "
        "limit is above 2 GPUs.",
    ),
    "GPUs asked for in two ways": (
        """
        profiles:
          - display_name: A
            kubespawner_override:
              gpu: {flavor: a100}
              extra_resource_limits: {nvidia.com/gpu: "1"}
        """,
        "mlhub.yaml:4:12: profiles[0].kubespawner_override.gpu: `gpu` and `extra_resource_limits` "
        "both ask for GPUs. Remove one of them.",
    ),
    "every flavor, and one": (
        "profiles: [{display_name: A, gpus: any, kubespawner_override: {gpu: {flavor: a100}}}]",
        "mlhub.yaml:1:69: profiles[0].kubespawner_override.gpu: `gpus: any` and a choice of its "
        "own both ask for GPUs. Remove one of them.",
    ),
    "an option that `gpus: any` brings already": (
        "profiles: [{display_name: A, gpus: any, profile_options: {count: {}}}]",
        "mlhub.yaml:1:59: profiles[0].profile_options.count: `gpus: any` brings an option 'count' "
        "of its own. Call this one otherwise.",
    ),
    "an option of a name that means something else": (
        "profiles: [{display_name: A, profile_options: {wait: {}}}]",
        "mlhub.yaml:1:48: profiles[0].profile_options.wait: 'wait' means something else in forms "
        "and REST bodies. Call this one otherwise.",
    ),
    "how many, but not which": (
        "profiles: [{display_name: A, kubespawner_override: {gpu: {count: 2}}}]",
        "mlhub.yaml:1:58: profiles[0].kubespawner_override.gpu: It says how many GPUs, but no "
        "choice of this profile says which. Add `flavor`.",
    ),
    "memory that is counted and not known": (
        """
        flavors: [{name: a100}]
        limits: {everyone: {memory: 80 GiB}}
        """,
        "mlhub.yaml:1:11: flavors[0]: `limits.everyone.memory` counts memory, but 'a100' has "
        "none: it is free. Add `memory`, such as 80 GiB.",
    ),
    "a flavor that never gets a device": (
        "flavors: [{name: any}, {name: a100, model: '*A100*'}]",
        "mlhub.yaml:1:24: warning: flavors[1]: 'a100' never gets a device: 'any' above it takes "
        "them all. Put the narrower one first, or tell them apart by model, profile or selector.",
    ),
    "a simulated clock on real devices": (
        """
        inventory: {source: nvml}
        simulation: {clock_file: clock}
        """,
        "mlhub.yaml:2:26: simulation.clock_file: A simulated clock would end real people's leases "
        "at wrong times. Remove it, or simulate the GPUs too.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_a_contradiction_is_found_with_its_place_and_a_remedy(name: str) -> None:
    text, line = CONTRADICTIONS[name]
    assert lines(text) == [line]


def test_every_problem_is_reported_at_once_in_the_order_of_the_file() -> None:
    text = """
    limts: {}
    flavors:
      - name: a100
        memory: lots
    profiles:
      - display_name: A
        kubespawner_override: {gpu: {flavor: h100}}
    times: {duration: soon}
    times: {}
    limits: {everyone: {devices: two}}
    """
    assert [row.where for row in checked(text).problems] == [
        "limts",
        "flavors[0].memory",
        "profiles[0].kubespawner_override.gpu.flavor",
        "times.duration",
        "times",
        "limits.everyone.devices",
    ]


def test_a_warning_alone_does_not_stop_a_start() -> None:
    result = checked("flavors: [{name: any}, {name: a100}]")
    assert [row.severity for row in result.problems] == [Severity.WARNING]
    assert result.settings is not None


def test_an_unknown_flavor_is_no_mistake_while_the_devices_name_the_flavors() -> None:
    assert checked("limits: {everyone: {flavors: [a100]}}").problems == ()


def test_a_flavor_with_a_mistake_of_its_own_still_counts_as_named() -> None:
    text = """
    flavors: [{name: a100, memory: lots}]
    limits: {everyone: {flavors: [a100]}}
    """
    assert [row.where for row in checked(text).problems] == ["flavors[0].memory"]


def test_the_value_of_a_secret_is_never_repeated() -> None:
    text = """
    ledger: {url: 'postgresql://u:hunter2@db/x'}
    authentication:
      providers:
        gh: {type: github, client_id: x, client_secret: hunter2, allow_all: true}
    """
    found = lines(text)
    assert len(found) == 2
    assert not any("hunter2" in line for line in found)


def test_the_default_file_has_no_problem_and_offers_every_gpu() -> None:
    result = check_text(default_yaml(), name="mlhub.yaml", directory=Path("/"))
    assert result.problems == ()
    assert result.settings is not None
    assert result.settings.profiles[0]["gpus"] == "any"


def test_what_the_default_file_has_in_comments_is_right_too() -> None:
    """Without its '#', each example of the file is read as it would be by who follows it."""
    prose = ("# One", "# A profile", "#   python3", "# The ", "# Every", "# What", "# with how",
             "# How long", "# kind of", "# Who may", "# GPUs are", "# price them")  # fmt: skip
    text = "\n".join(
        line if line.startswith(prose) else line.replace("# ", "  ", 1).rstrip("#")
        for line in default_yaml().splitlines()
    )
    text = text.replace("\n  flavors:", "\nflavors:")
    result = check_text(text, name="mlhub.yaml", directory=Path("/"))
    assert result.problems == ()
    assert result.settings is not None
    assert len(result.settings.profiles) == 3
    assert result.settings.limits.members["teachers"].devices == 4
    assert result.settings.flavors[0].name == "a100"


def test_a_file_that_is_not_there_is_one_clear_problem(tmp_path: Path) -> None:
    result = check(tmp_path / "none.yaml")
    assert [problem.message for problem in result.problems] == [
        "The file cannot be read: No such file or directory."
    ]
    assert "mlhub up" in result.problems[0].remedy


def test_bytes_that_are_no_text_are_one_clear_problem(tmp_path: Path) -> None:
    (tmp_path / "mlhub.yaml").write_bytes(b"\xff\xfe\x00limits")
    result = check(tmp_path / "mlhub.yaml")
    assert [problem.message for problem in result.problems] == ["The file is not UTF-8 text."]


ALIAS_BOMB = "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{former}'] * 10)}]\n"
    for former, name in zip("abcde", "bcdef", strict=True)
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: &a [*a]\n", "refers to itself"),
        ("a: " + "[" * 3000 + "]" * 3000, "nested too deeply"),
        ("# " + "x" * 1_000_001, "longer than a million"),
        ("\x00: 1", "a character that YAML does not allow"),
        (
            ALIAS_BOMB,
            "aliases never end",
        ),
    ],
    ids=["a loop", "deep nesting", "a huge file", "a NUL", "a bomb of aliases"],
)  # fmt: skip
def test_text_that_would_keep_a_parser_busy_is_refused_in_words(text: str, words: str) -> None:
    messages = [problem.message for problem in checked(text).problems]
    assert any(words in message for message in messages), messages
