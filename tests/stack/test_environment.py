"""The first half of `make up`: which Python, where the environment goes, when nothing is done."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.people import Person

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "tools" / "environment.py"


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The script as a module, with a checkout of its own to work on."""
    spec = importlib.util.spec_from_file_location("environment", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    checkout = tmp_path / "checkout"
    (checkout / "mlhub").mkdir(parents=True)
    (checkout / "hub_services").mkdir()
    (checkout / "pyproject.toml").write_text("[project]\n")
    monkeypatch.setattr(module, "ROOT", checkout)
    monkeypatch.setattr(module, "LINK", checkout / ".venv")
    monkeypatch.setattr(module, "SHARED_ENVIRONMENTS", tmp_path / "shared")
    return module


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    """A Python in a directory that only its owner can enter."""
    directory = tmp_path / "private"
    directory.mkdir(mode=0o700)
    python = directory / "python3"
    python.symlink_to(sys.executable)
    python.unlink()
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    return python


def test_without_root_the_python_that_was_named_is_taken(environment: ModuleType, closed: Path):
    assert environment.choose_python(closed, as_root=False) == closed


def test_as_root_a_python_that_others_cannot_enter_gives_way_to_the_system_s(
    environment: ModuleType, closed: Path, capsys: pytest.CaptureFixture[str]
):
    assert environment.choose_python(closed, as_root=True) == Path("/usr/bin/python3")
    assert "is closed to other OS users" in capsys.readouterr().out


def test_as_root_with_no_other_python_the_reason_and_three_remedies_are_told(
    environment: ModuleType, closed: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(environment, "SYSTEM_PYTHON", closed.parent / "none")
    with pytest.raises(environment.Unusable) as told:
        environment.choose_python(closed, as_root=True)
    assert "make up PYTHON=" in str(told.value)
    assert "run without root" in str(told.value)


def test_the_environment_goes_outside_a_checkout_that_others_cannot_enter(
    environment: ModuleType, tmp_path: Path
):
    assert environment.place_for_environment(as_root=False) == environment.LINK
    tmp_path.chmod(0o700)
    place = environment.place_for_environment(as_root=True)
    assert place.parent == tmp_path / "shared"
    place.mkdir(parents=True)
    environment.link_to(place)
    assert environment.LINK.resolve() == place.resolve()


def test_an_environment_is_up_to_date_until_a_list_or_the_project_changes(
    environment: ModuleType, tmp_path: Path
):
    before = environment.wanted_state("run", editable=True)
    assert environment.wanted_state("run", editable=True) == before
    assert environment.wanted_state("test", editable=True) != before
    (environment.ROOT / "pyproject.toml").write_text("[project]\nname = 'other'\n")
    assert environment.wanted_state("run", editable=True) != before


def test_a_copied_installation_is_renewed_when_a_source_changes(environment: ModuleType):
    before = environment.wanted_state("run", editable=False)
    (environment.ROOT / "mlhub" / "page.html").write_text("<p>")
    assert environment.wanted_state("run", editable=False) != before


def test_what_an_interrupted_run_wrote_down_counts_for_nothing(
    environment: ModuleType, tmp_path: Path
):
    stamp = tmp_path / "stamp.json"
    assert environment.read_state(stamp) == {}
    stamp.write_text('{"kind": "ru')
    assert environment.read_state(stamp) == {}
    stamp.write_text(json.dumps({"kind": "run"}))
    assert environment.read_state(stamp) == {"kind": "run"}


def test_a_python_without_venv_is_told_by_the_package_that_has_it(
    environment: ModuleType, tmp_path: Path
):
    broken = tmp_path / "python3"
    broken.write_text("#!/bin/sh\necho 'No module named venv' >&2\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(environment.Unusable, match=r"No module named venv.*python3-venv"):
        environment.make_environment(broken, tmp_path / "new")


def test_the_lists_pin_every_package_with_hashes_and_name_no_address():
    for name in ("stack.txt", "test.txt"):
        text = (ROOT / "requirements" / name).read_text()
        packages = [line for line in text.splitlines() if line[:1].isalnum()]
        assert len(packages) > 150
        assert all("==" in line for line in packages)
        assert text.count("--hash=sha256:") > len(packages)
        assert "http://" not in text
        assert "https://" not in text
        assert "index-url" not in text


def test_the_tests_run_on_the_same_packages_as_the_stack():
    def pins(name: str) -> set[str]:
        lines = (ROOT / "requirements" / name).read_text().splitlines()
        return {line.split(" ")[0] for line in lines if line[:1].isalnum()}

    assert pins("stack.txt") <= pins("test.txt")


def test_an_old_python_is_refused_before_anything_is_made():
    code = (
        "import runpy, sys; sys.version_info = (3, 10, 1); sys.argv = ['environment.py'];"
        f"runpy.run_path({str(SCRIPT)!r}, run_name='__main__')"
    )
    words = [sys.executable, "-c", code]
    answer = subprocess.run(words, capture_output=True, text=True, check=False)
    assert answer.returncode == 1
    assert "Python 3.11 or newer is needed" in answer.stderr


def test_the_lists_have_what_the_project_asks_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    pinned = {name: pins_of(name) for name in ("stack.txt", "test.txt")}
    wanted = {
        "stack.txt": [*project["dependencies"], *extras["workbench"], *extras["node"]],
        "test.txt": [*project["dependencies"], *extras["test"]],
    }
    for name, requirements in wanted.items():
        for requirement in map(Requirement, requirements):
            version = pinned[name].get(canonicalize_name(requirement.name))
            assert version, f"{requirement.name} is not in {name}: run make lock"
            assert requirement.specifier.contains(version), f"{requirement}: run make lock"


def pins_of(name: str) -> dict[str, str]:
    lines = (ROOT / "requirements" / name).read_text().splitlines()
    rows = (line.split(" ")[0].split("==") for line in lines if "==" in line and line[:1].isalnum())
    return {canonicalize_name(package): version for package, version in rows}


@pytest.mark.root
def test_two_os_users_of_one_clone_take_turns_and_delete_nothing(
    environment: ModuleType, monkeypatch: pytest.MonkeyPatch, ada: Person
):
    link, shared = environment.LINK, environment.SHARED_ENVIRONMENTS / "environment-of-root"
    shared.mkdir(parents=True)
    (link / "bin").mkdir(parents=True)
    os.chown(link, ada.uid, ada.gid)
    environment.make_room(shared)
    environment.link_to(shared)
    assert link.resolve() == shared.resolve()
    monkeypatch.setattr(environment.os, "geteuid", lambda: ada.uid)
    environment.make_room(link)
    assert (link / "bin").is_dir(), "the environment that ada had is hers again"
    assert not link.is_symlink()
    monkeypatch.undo()
    assert shared.is_dir()


@pytest.fixture
def of_ada(
    environment: ModuleType, monkeypatch: pytest.MonkeyPatch, open_directory: Path, ada: Person
) -> Iterator[Path]:
    """An environment that ada has made, up to date, in a clone that others may enter."""
    with tempfile.TemporaryDirectory(dir=open_directory) as name:
        clone = Path(name)
        clone.chmod(0o755)
        (clone / "pyproject.toml").write_text("[project]\n")
        monkeypatch.setattr(environment, "ROOT", clone)
        monkeypatch.setattr(environment, "LINK", clone / ".venv")
        programs = environment.LINK / "bin"
        programs.mkdir(parents=True)
        (programs / "python").symlink_to("/usr/bin/python3")
        (programs / "mlhub").touch(0o755)
        stamp = environment.LINK / environment.STAMP
        stamp.write_text(json.dumps(environment.wanted_state("run", editable=True)))
        for path in (clone, environment.LINK, programs, stamp):
            os.chown(path, ada.uid, ada.gid)
        yield environment.LINK


@contextmanager
def running(person: Person, place: Path) -> Iterator[subprocess.Popen[str]]:
    """A process of theirs that runs from an environment."""
    code = "print(flush=True); input()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with person.popen([place / "bin" / "python", "-c", code], **pipes) as process:
        process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.root
def test_root_runs_the_environment_of_a_user_s_clone_as_it_is(
    environment: ModuleType, of_ada: Path
):
    environment.bring_up_to_date("run")
    assert [path.name for path in of_ada.parent.iterdir() if "venv" in path.name] == [".venv"]
    of_ada.chmod(0o700)
    assert not environment.is_current(of_ada, "run"), "nobody's server could run from it"


@pytest.mark.root
def test_an_environment_that_somebody_runs_is_neither_moved_nor_renewed_by_another(
    environment: ModuleType, of_ada: Path, ada: Person
):
    with running(ada, of_ada) as process:
        told = rf"{ada.name} runs it \(process {process.pid}\).*`make down`.*a clone of your own"
        with pytest.raises(environment.Unusable, match=told):
            environment.bring_up_to_date("test")
        os.chown(of_ada, 0, 0)
        with pytest.raises(environment.Unusable, match=told):
            environment.bring_up_to_date("test")
        assert of_ada.is_dir()
        assert environment.read_state(of_ada / environment.STAMP)["kind"] == "run"


@pytest.mark.root
def test_only_what_nobody_runs_any_more_is_set_aside(
    environment: ModuleType, of_ada: Path, ada: Person
):
    with running(ada, of_ada):
        pass
    environment.make_sure_nobody_else_runs(of_ada)
    environment.make_room(of_ada)
    assert not of_ada.exists()
    assert (environment.aside_of(ada.uid) / environment.STAMP).exists()


@pytest.mark.root
def test_whoever_made_an_environment_may_renew_it_beside_their_own_processes(
    environment: ModuleType, of_ada: Path, ada: Person, monkeypatch: pytest.MonkeyPatch
):
    with running(ada, of_ada) as process:
        assert list(environment.users_of(of_ada)) == [(process.pid, ada.uid)]
        monkeypatch.setattr(environment.os, "geteuid", lambda: ada.uid)
        environment.make_sure_nobody_else_runs(of_ada)


@pytest.mark.root
def test_an_environment_of_root_s_is_open_whatever_root_s_mask(tmp_path: Path):
    code = (
        "import os, runpy, sys; os.umask(0o077); sys.argv = ['environment.py'];"
        f"environment = runpy.run_path({str(SCRIPT)!r});"
        "environment['main'].__globals__['bring_up_to_date'] = lambda kind: open('made', 'w');"
        "environment['main']()"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o644


def test_bytecode_is_kept_even_where_the_environment_says_not_to(
    environment: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    place = tmp_path / "place"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    packages = next(place.glob("lib/python*/site-packages"))
    (packages / "loaded.py").write_text("")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setattr(environment, "LOADED", ("missing loaded",))
    environment.keep_bytecode(place)
    assert list((packages / "__pycache__").glob("loaded.*.pyc"))
