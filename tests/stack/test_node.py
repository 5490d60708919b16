"""The parts on Node.js: installed from the pinned list, whole or not at all."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mlhub.stack import node
from mlhub.stack.problems import StackProblem


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    cache = tmp_path / "cache"
    cache.mkdir()
    return cache


def test_the_proxy_is_installed_in_its_pinned_version_and_what_was_interrupted_goes(cache: Path):
    place = node.place_of(node.PROXY, cache)
    interrupted = cache / f"{place.name}.4194300.unfinished"
    interrupted.mkdir()
    (interrupted / "half").write_text("")
    node.install(node.PROXY, place, node.node_directory(), say=print)
    words = [node.node_directory() / "bin" / "node", place / node.PROXY.entry, "--version"]
    answer = subprocess.run(words, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "5.3.0"
    assert [path.name for path in cache.iterdir()] == [place.name]
    assert (place / node.PROXY.entry).stat().st_mode & 0o004, "every OS user may read it"


def test_without_a_registry_the_part_is_named_and_nothing_half_is_left(
    cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "empty"))
    with pytest.raises(StackProblem, match=r"Installing the hub's proxy failed: .*ECONNREFUSED"):
        node.install(node.PROXY, node.place_of(node.PROXY, cache), node.node_directory(), say=print)
    assert list(cache.iterdir()) == []


def test_a_command_becomes_what_it_runs(tmp_path: Path):
    script = tmp_path / "script.js"
    script.write_text("console.log(process.pid, process.argv[2])")
    binary = node.node_directory() / "bin" / "node"
    command = node.write_command(tmp_path / "bin" / "code-server", binary, script)
    with subprocess.Popen([command, "a b"], stdout=subprocess.PIPE, text=True) as process:
        said, _ = process.communicate(timeout=30)
    assert said.split(maxsplit=1) == [str(process.pid), "a b\n"]


def test_another_list_of_versions_is_another_place(cache: Path, monkeypatch, tmp_path: Path):
    before = node.place_of(node.PROXY, cache)
    (tmp_path / "proxy").mkdir()
    (tmp_path / "proxy" / "package-lock.json").write_text("{}")
    monkeypatch.setattr(node, "LISTS", tmp_path)
    assert node.place_of(node.PROXY, cache) != before


def test_the_lists_name_no_address():
    for path in node.LISTS.rglob("package-lock.json"):
        text = path.read_text()
        assert '"resolved"' not in text
        assert '"integrity": "sha512-' in text
