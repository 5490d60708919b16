"""What benchmarks print becomes the README's table."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.report import SENTENCES, command, finish, percentile, table

FIGURES = {
    "claims": {
        "runs": 20, "sqlite": {"exact_runs": 20, "per_second": 211.4, "p99_ms": 31.2},
        "postgresql": {"exact_runs": 20, "per_second": 180.0, "p99_ms": 40.0},
        "lock_table_per_second": 900.2,
    },
    "crash": {"kills": 200, "double": 0, "lost": 0, "leaked": 0},
    "lab": {"rounds": 15, "ours_s": 3.94, "stock_s": 4.1, "ratio": 0.96},
    "picker": {"p95_ratio": 1.01, "refresh_ratio": 0.29, "floor_ratio": 0.2, "plain_ms": 6.0},
    "soak": {"hours": 24, "asks": 400, "broken": 0, "leaked": 0, "memory_growth_percent": 1.2},
    "startup": {"first_s": 94.0, "second_s": 3.2, "rss_mib": 410},
}  # fmt: skip


def test_every_benchmark_that_prints_figures_has_its_sentence():
    folder = Path("benchmarks")
    found = {path.stem for path in folder.glob("*.py") if "finish(" in path.read_text()}
    assert found - {"report"} == set(SENTENCES) == set(FIGURES)


@pytest.mark.parametrize("name", sorted(FIGURES))
def test_figures_become_a_row_with_command_machine_and_date(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [f"/somewhere/benchmarks/{name}.py", "--rounds", "3"])
    finish(FIGURES[name])
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert FIGURES[name].items() <= last.items()
    row = table([last]).splitlines()[-1]
    assert row.startswith(f"| `{command()}` | ")
    assert row.endswith(f" | {last['machine']}, {last['date']} |")
    assert name in last["command"]
    assert 'ARGS="--rounds 3"' in last["command"]


def test_the_table_is_made_from_files_of_output(tmp_path):
    lines = [{**FIGURES["crash"], "command": "make bench NAME=crash", "machine": "m", "date": "d"}]
    file = tmp_path / "crash.txt"
    file.write_text("some words before\n" + json.dumps(lines[0]) + "\n")
    run = [sys.executable, "-m", "benchmarks.report", file]
    said = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    assert "200 kill -9 of the service: 0 double grants, 0 lost, 0 leaked | m, d |" in said


def test_a_percentile_is_one_of_the_values():
    assert percentile([4.0, 1.0, 3.0, 2.0], 0.5) == 2.0
    assert percentile([1.0], 0.99) == 1.0
