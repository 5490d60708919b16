"""The examples in a home: once, never over a file, never back, never through a link."""

import os
import stat
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from mlhub.singleuser import seed

ROOT = Path(__file__).parents[2]
NAMES = {
    "README.md",
    "first-notebook.ipynb",
    "mlflow-example.ipynb",
    "mlflow-example.py",
    "tensorboard-example.py",
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    return home


def test_a_new_home_gets_the_examples(home: Path) -> None:
    assert set(seed.seed_home(home)) == NAMES
    source = (ROOT / "notebook-scripts/first-notebook.ipynb").read_bytes()
    assert (home / "mlhub-examples/first-notebook.ipynb").read_bytes() == source


def test_what_a_user_deleted_or_changed_stays_so(home: Path) -> None:
    seed.seed_home(home)
    folder = home / "mlhub-examples"
    (folder / "README.md").write_text("mine")
    (folder / "first-notebook.ipynb").unlink()
    assert seed.seed_home(home) == []
    assert (folder / "README.md").read_text() == "mine"
    assert not (folder / "first-notebook.ipynb").exists()


def test_a_deleted_folder_does_not_come_back(home: Path) -> None:
    seed.seed_home(home)
    (home / "mlhub-examples").rename(home / "elsewhere")
    assert seed.seed_home(home) == []
    assert not (home / "mlhub-examples").exists()


def test_a_file_of_the_same_name_is_never_overwritten(home: Path) -> None:
    folder = home / "mlhub-examples"
    folder.mkdir()
    (folder / "README.md").write_text("mine")
    assert set(seed.seed_home(home)) == NAMES - {"README.md"}
    assert (folder / "README.md").read_text() == "mine"


def test_an_interrupted_seeding_is_finished_by_the_next(home: Path) -> None:
    seed.seed_home(home)
    (home / seed.MARKER).unlink()
    (home / "mlhub-examples/README.md").unlink()
    assert seed.seed_home(home) == ["README.md"]


@pytest.mark.parametrize("points_at", ["directory", "nothing", "file"])
def test_nothing_is_written_through_a_link_in_the_folders_place(
    home: Path, tmp_path: Path, points_at: str
) -> None:
    target = tmp_path / "target"
    if points_at == "directory":
        target.mkdir()
    elif points_at == "file":
        target.write_text("")
    (home / "mlhub-examples").symlink_to(target)
    with pytest.raises(seed.SeedError, match="left alone"):
        seed.seed_home(home)
    assert not target.is_dir() or list(target.iterdir()) == []


def test_nothing_is_written_through_a_link_in_a_files_place(home: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    (home / "mlhub-examples").mkdir()
    (home / "mlhub-examples/README.md").symlink_to(victim)
    assert set(seed.seed_home(home)) == NAMES - {"README.md"}
    assert not victim.exists()


@pytest.mark.root
def test_another_users_home_is_not_touched(home: Path) -> None:
    os.chown(home, 12345, 12345)
    with pytest.raises(seed.SeedError, match="another user"):
        seed.seed_home(home)
    assert list(home.iterdir()) == []


def test_a_full_disk_leaves_no_half_file(home: Path, tmp_path: Path) -> None:
    """A limit on file size is the disk that is full for this process alone."""
    script = (
        "import resource, signal, sys; from pathlib import Path\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))\n"
        "from mlhub.singleuser import seed; sys.exit(seed.main())"
    )
    environment = os.environ | {"HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "File too large" in done.stderr
    assert not (home / seed.MARKER).exists()
    assert [path.name for path in (home / "mlhub-examples").iterdir()] == []


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    words = ["-m", "uv", "build", "--quiet", "--wheel", "--out-dir", str(folder), str(ROOT)]
    subprocess.run([sys.executable, *words], check=True)
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_examples_icons_and_pages(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    seeded = {Path(name).name for name in names if "/share/mlhub/notebook-scripts/" in name}
    assert seeded == NAMES
    assert "mlhub/singleuser/icons/vscode.svg" in names
    assert "hub_services/mlflow/templates/notice.html" in names
    assert "hub_services/mlflow/static/page.js" in names


def test_an_installed_wheel_seeds_without_the_checkout(
    wheel: Path, home: Path, tmp_path: Path
) -> None:
    environment = tmp_path / "venv"
    venv.create(environment, symlinks=True)
    python = environment / "bin/python"
    install = ["-m", "uv", "pip", "install", "--quiet", "--no-deps", "--python", str(python)]
    subprocess.run([sys.executable, *install, str(wheel)], check=True)
    own = {"HOME": str(home), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [python, "-m", "mlhub.singleuser.seed"],
        cwd=tmp_path,
        env=own,
        capture_output=True,
        text=True,
        check=True,
    )
    assert {Path(line).name for line in done.stdout.splitlines()} == NAMES
    seeded = home / "mlhub-examples/first-notebook.ipynb"
    assert stat.S_IMODE(seeded.stat().st_mode) & 0o600 == 0o600
