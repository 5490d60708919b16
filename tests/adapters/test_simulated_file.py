"""The file of simulated GPUs: what is refused, in words that say where and what to do."""

import json
import re
from pathlib import Path

import pytest

from mlhub.adapters.simulated import DEFAULT, read_spec
from mlhub.core.errors import BadInput

GPU = "{model: T4, memory: 16 GiB}"
MANUAL = "docs/how-to/simulated-gpus.md says how it is written"


def spec_of(tmp_path: Path, text: str | bytes):
    file = tmp_path / "gpus.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_spec(file)


def gpu(**more) -> str:
    return json.dumps({"nodes": [{"gpus": [{"model": "T4", "memory": 1, **more}]}]})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ": it lists no GPUs"),
        ("- a\n- list", ": it lists no GPUs"),
        ("nodes: [\n{", ": it is no YAML in line 2"),
        ("nodes: []\nnodes: []", ": it is no YAML in line 2: found duplicate key"),
        (b"\xff\xfe\x00", ": it is no text in YAML"),
        ("nodes: many", ": nodes: Input should be a valid"),
        ("nods: []", ": nods: Extra inputs are not permitted"),
        (gpu(count=-1), ": nodes[0].gpus[0].count: Input should be greater than or equal to 0"),
        (gpu(count=10**9), ": nodes[0].gpus[0].count: Input should be less than or equal to 1024"),
        (gpu(memory="lots"), ": nodes[0].gpus[0].memory: 'lots' is not an amount of memory"),
        (gpu(memory=["a"]), ": nodes[0].gpus[0].memory: "),
        (gpu(model=""), ": nodes[0].gpus[0].model: String should have at least 1 character"),
        (gpu(mig=["5x"]), ": nodes[0].gpus[0].mig[0]: '5x' is no MIG profile (such as 1g.10gb)"),
        (
            gpu(mig=["4g.40gb", "4g.40gb"]),
            ": nodes[0].gpus[0]: `mig` takes 8 compute slices; a GPU has 7",
        ),
        (gpu(shares=3), ": nodes[0].gpus[0]: `sharing` and `shares` above 1 go together"),
        (gpu(sharing="mps"), ": nodes[0].gpus[0]: `sharing` and `shares` above 1 go together"),
        (gpu(sharing="half"), ": nodes[0].gpus[0].sharing: Input should be 'none', "),
        (gpu(use={"points": []}), ": nodes[0].gpus[0].use.points: Tuple should have at least 1"),
        (
            gpu(use={"points": [{"at": "soon", "utilisation": 1, "memory": 1}]}),
            ": nodes[0].gpus[0].use.points[0].at: 'soon' is not a duration",
        ),
        (
            gpu(use={"points": [{"at": "9s", "utilisation": 101, "memory": 1}]}),
            ": nodes[0].gpus[0].use.points[0].utilisation: Input should be less than",
        ),
        (
            gpu(use={"points": [{"at": at, "utilisation": 1, "memory": 1} for at in (9, 3)]}),
            ": nodes[0].gpus[0].use: the points must be in order of time",
        ),
        (
            gpu(use={"repeat": True, "points": [{"at": 0, "utilisation": 1, "memory": 1}]}),
            ": nodes[0].gpus[0].use: what repeats needs a point later than 0s",
        ),
        ("nodes: [{name: a}, {name: a}]", ": all: two nodes have the same name"),
        ("failures: [{device: 0, health: ok}]", ": failures[0].health: Input should be 'sick'"),
        ("nods: []\nvanish: 3\nfail: []", "; and 2 more mistakes"),
    ],
)
def test_a_wrong_file_is_refused_with_place_and_remedy(tmp_path, text, words):
    with pytest.raises(BadInput, match=re.escape(words)) as raised:
        spec_of(tmp_path, text)
    assert raised.value.field.startswith(str(tmp_path / "gpus.yaml"))
    assert raised.value.remedy == MANUAL


def test_a_file_that_is_not_there_is_refused_with_its_name(tmp_path):
    with pytest.raises(BadInput, match=r"it cannot be read: No such file or directory"):
        read_spec(tmp_path / "gpus.yaml")
    with pytest.raises(BadInput, match=r"it cannot be read: Is a directory"):
        read_spec(tmp_path)


def test_a_file_that_no_hand_has_written_is_refused(tmp_path):
    with pytest.raises(BadInput, match="larger than 1 MiB"):
        spec_of(tmp_path, b"#" * (1024 * 1024 + 1))


def test_json_is_read_too(tmp_path):
    nodes = DEFAULT.model_dump(exclude_defaults=True, mode="json")
    assert spec_of(tmp_path, json.dumps(nodes)) == DEFAULT


def test_the_example_of_the_manual_is_a_file_that_is_read(tmp_path):
    manual = Path(__file__).parents[2] / "docs" / "how-to" / "simulated-gpus.md"
    examples = re.findall(r"```yaml\n(.*?)```", manual.read_text(), re.DOTALL)
    assert len(examples) >= 2
    for text in examples:
        assert spec_of(tmp_path, text)
