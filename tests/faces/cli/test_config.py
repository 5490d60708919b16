"""`mlhub config check` and `schema` as processes."""

from __future__ import annotations

import json
from pathlib import Path

from tests.faces.cli.program import Ran, mlhub

ROOT = Path(__file__).parents[3]


async def test_every_problem_is_a_line_with_place_and_remedy_and_the_exit_code_is_one(
    tmp_path: Path,
) -> None:
    (tmp_path / "mlhub.yaml").write_text("limts: {}\ntimes: {duration: soon}\n")
    ran = await mlhub("config", "check", home=tmp_path)
    file = tmp_path / "mlhub.yaml"
    assert ran == Ran(
        1,
        f"{file}:1:1: limts: There is no setting 'limts' here. Did you mean 'limits'?\n"
        f"{file}:2:19: times.duration: 'soon' is not a duration. Write for example 8h or 1h30m.\n"
        f"{file}: 2 errors, 0 warnings.\n",
        "",
    )


async def test_a_right_file_is_exit_code_zero(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text("times: {duration: 4h}\n")
    ran = await mlhub("config", "check", "other.yaml", home=tmp_path)
    assert ran == Ran(0, "other.yaml: nothing is wrong.\n", "")


async def test_a_warning_is_shown_and_is_exit_code_zero(tmp_path: Path) -> None:
    (tmp_path / "mlhub.yaml").write_text("flavors: [{name: all}, {name: a100}]\n")
    ran = await mlhub("config", "check", home=tmp_path)
    assert ran.code == 0
    assert ": warning: flavors[1]: " in ran.out
    assert ran.out.endswith("0 errors, 1 warning.\n")


async def test_programs_get_path_line_and_remedy_by_themselves(tmp_path: Path) -> None:
    (tmp_path / "mlhub.yaml").write_text("hub:\n  base_ulr: /\n")
    ran = await mlhub("config", "check", "--json", home=tmp_path)
    assert ran.code == 1
    assert ran.json() == {
        "file": f"{tmp_path}/mlhub.yaml",
        "ok": False,
        "problems": [
            {
                "path": "hub.base_ulr",
                "line": 2,
                "column": 3,
                "severity": "error",
                "message": "There is no setting 'base_ulr' here.",
                "remedy": "Did you mean 'base_url'?",
            }
        ],
    }


async def test_the_environment_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "there.yaml").write_text("")
    environ = {"MLHUB_CONFIG": str(tmp_path / "there.yaml"), "MLHUB_HOME": ""}
    ran = await mlhub("config", "check", home=tmp_path, **environ)
    assert ran.out == f"{tmp_path}/there.yaml: nothing is wrong.\n"


async def test_a_missing_file_is_said_with_what_makes_one(tmp_path: Path) -> None:
    ran = await mlhub("config", "check", "nowhere.yaml", home=tmp_path)
    assert ran.code == 1
    assert "nowhere.yaml: The file cannot be read: No such file or directory. `mlhub up`" in ran.out


async def test_the_schema_is_printed_as_it_is_published(tmp_path: Path) -> None:
    ran = await mlhub("config", "schema", home=tmp_path)
    assert ran.code == 0
    assert ran.out == (ROOT / "docs/reference/mlhub.schema.json").read_text()
    assert json.loads(ran.out)["title"] == "mlhub.yaml"
