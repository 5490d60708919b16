"""What the documents say is so: events, actions, metrics, examples of settings, commands."""

from __future__ import annotations

import ast
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from hub_services.quota.metrics import Metrics
from mlhub.configuration import check_text
from mlhub.core.leases import EndReason, LeaseStatus
from mlhub.core.ledger import STEPPED
from tests.running import MLHUB, Stack

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
HOW_TO = DOCS / "how-to"
METRIC = re.compile(r"\bmlhub_[a-z_]+")
SETTINGS_OF_OTHERS = {
    "monitor.md",
    "simulated-gpus.md",
    "profiles.md",
}  # held by tests of their own


def table_words(page: Path, heading: str) -> set[str]:
    """The words in the first column of the table below a heading."""
    section = page.read_text().split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    first = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return set(re.findall(r"`([^`]+)`", " ".join(first)))


def calls() -> Iterator[tuple[str, list[str | None]]]:
    """Every call in the product: its name, and its arguments where they are plain text."""
    for package in ("mlhub", "hub_services"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call):
                    name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                    yield name, [getattr(a, "value", None) for a in node.args]


def texts_at(name: str, place: int) -> set[str]:
    """The plain texts that calls of a name have at a place."""
    found = (words[place] for called, words in calls() if called == name and len(words) > place)
    return {text for text in found if isinstance(text, str)}


def test_every_notice_is_described() -> None:
    assert table_words(DOCS / "reference/notices.md", "Notices") == texts_at("tell", 1)


def test_every_reason_of_an_end_is_described() -> None:
    shown = table_words(DOCS / "reference/notices.md", "Why a lease ended")
    assert shown == {str(reason) for reason in EndReason}


def test_every_audit_action_is_described() -> None:
    written = (
        texts_at("AuditRecord", 2) | texts_at("_record", 1) | texts_at("_record", 3)
        | texts_at("_change", 1) | {str(status) for status in LeaseStatus}
        | {"warned", "extended", STEPPED}
    )  # fmt: skip
    assert table_words(DOCS / "reference/notices.md", "Audit actions") == written


def names_of_metrics() -> set[str]:
    """As Prometheus sees them: counters end in _total."""
    families = Metrics().registry.collect()
    return {f.name + ("_total" if f.type == "counter" else "") for f in families}


def test_every_metric_is_described() -> None:
    page = (DOCS / "reference/metrics.md").read_text()
    assert set(METRIC.findall(page)) == names_of_metrics()


def test_alerts_and_questions_name_metrics_that_there_are() -> None:
    page = (HOW_TO / "monitor.md").read_text()
    asked = {name.removesuffix("_bucket") for name in METRIC.findall(page)}
    assert len(asked) > 6
    assert asked <= names_of_metrics()
    for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL):
        assert YAML(typ="safe").load(block)


@pytest.mark.parametrize(
    "page",
    sorted(
        page.name
        for page in HOW_TO.glob("*.md")
        if page.name not in SETTINGS_OF_OTHERS and "```yaml\n" in page.read_text()
    ),
)
def test_every_example_of_settings_is_accepted(page: str) -> None:
    for text in re.findall(r"```yaml\n(.*?)```", (HOW_TO / page).read_text(), re.DOTALL):
        if text[0] == " ":
            continue  # a part of the example before it
        checked = check_text(text, name=page, directory=Path("/"))
        assert [str(problem) for problem in checked.errors] == [], text


def script_of(page: Path, heading: str = "") -> str:
    """The commands below a heading of a page, in their order."""
    text = (
        page.read_text().split(heading, 1)[1].split("\n## ", 1)[0] if heading else page.read_text()
    )
    return "\n".join(line[2:] for line in text.splitlines() if line.startswith("$ "))


def run(script: str, home: Path, **more: str) -> subprocess.CompletedProcess[str]:
    path = f"{MLHUB.parent}{os.pathsep}{os.environ['PATH']}"
    environ = os.environ | {"MLHUB_HOME": str(home), "PATH": path} | more
    return subprocess.run(
        ["bash", "-euc", script],
        env=environ, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.stack
@pytest.mark.parametrize("page", ["flavors.md", "limits.md", "troubleshoot.md"])
def test_the_commands_of_a_guide_work(stack: Stack, page: str) -> None:
    ran = run(script_of(HOW_TO / page), stack.home)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout


@pytest.mark.stack
def test_a_copy_that_was_made_while_it_ran_can_be_restored(stack: Stack, tmp_path: Path) -> None:
    page, copy, other = HOW_TO / "backup.md", tmp_path / "copy", tmp_path / "home"
    made = run(script_of(page, "## Copy it while it runs"), stack.home, COPY=str(copy))
    assert made.returncode == 0, made.stderr
    assert (copy / "ledger.sqlite").stat().st_mode & 0o077 == 0
    other.mkdir()
    (other / "ledger.sqlite-wal").write_text("of another ledger")
    restored = run(script_of(page, "## Restore it"), other, COPY=str(copy))
    assert restored.returncode == 0, restored.stderr
    assert {"ledger.sqlite", "mlhub.yaml", "secrets", "hub"} <= {p.name for p in other.iterdir()}
    assert not (other / "ledger.sqlite-wal").exists()
    names = run(
        'python3 -c "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('
        "'PRAGMA integrity_check').fetchone()[0])\" \"$MLHUB_HOME/ledger.sqlite\"", other
    )  # fmt: skip
    assert names.stdout.strip() == "ok"


def test_the_address_of_a_ledger_in_postgresql_is_kept_private(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "secrets").mkdir(parents=True)
    settings = re.search(r"```yaml\n(.*?)```", (HOW_TO / "postgresql.md").read_text(), re.DOTALL)
    (home / "mlhub.yaml").write_text(settings[1])
    (home / "mlhub.yaml").chmod(0o600)
    ran = run(script_of(HOW_TO / "postgresql.md"), home)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert (home / "secrets/ledger-url").stat().st_mode & 0o777 == 0o600


def test_every_place_that_the_architecture_names_is_there() -> None:
    page = (DOCS / "explanation/architecture.md").read_text()
    named = re.findall(r"`((?:mlhub|hub_services|tests|docs)/[\w./]*)`", page)
    assert len(named) > 25
    assert [place for place in named if not (ROOT / place).exists()] == []


def test_every_page_is_in_the_index() -> None:
    index = (DOCS / "README.md").read_text()
    pages = [page.relative_to(DOCS) for page in DOCS.rglob("*.md") if page.name != "README.md"]
    assert [str(page) for page in pages if f"({page})" not in index] == []
