"""A file that holds one secret is whole, its owner's alone, and refused when it is not."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mlhub import private_files
from mlhub.private_files import Unusable
from tests.parts import small_disk

SECRET = "0123456789abcdef"


def private(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    path.chmod(0o600)
    return path


def test_a_secret_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "token"
    assert private_files.make_once(path, lambda: SECRET)
    assert not private_files.make_once(path, lambda: "another one of sixteen")
    assert private_files.read(path, shortest=16) == SECRET
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_of_many_that_make_a_secret_at_once_all_read_the_same_one(tmp_path: Path) -> None:
    path = tmp_path / "token"

    def start(number: int) -> tuple[bool, str]:
        made = private_files.make_once(path, lambda: f"{number:032}")
        return made, private_files.read(path, shortest=32)

    with ThreadPoolExecutor(8) as pool:
        starts = list(pool.map(start, range(32)))
    assert [made for made, _secret in starts].count(True) == 1
    assert len({secret for _made, secret in starts}) == 1
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.root
def test_on_a_full_disk_nothing_is_made_and_the_next_start_with_room_makes_it(
    tmp_path: Path,
) -> None:
    with small_disk(tmp_path, 1) as disk:
        filling = disk / "filling"
        with pytest.raises(OSError, match="No space"):
            filling.write_bytes(bytes(2 * 2**20))
        with pytest.raises(Unusable, match="token cannot be made: No space left on device"):
            private_files.make_once(disk / "token", lambda: SECRET)
        assert list(disk.iterdir()) == [filling]
        filling.unlink()
        assert private_files.make_once(disk / "token", lambda: SECRET)
        assert private_files.read(disk / "token") == SECRET


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b" \n", "is empty", id="blank"),
        pytest.param(b"0123456789\n", "has less than 16 characters", id="short"),
        pytest.param(b"\xff\xfe" * 20, "cannot be read: it is no text", id="no text"),
    ],
)
def test_what_is_no_secret_is_refused_and_left_alone(
    tmp_path: Path, content: bytes, words: str
) -> None:
    path = private(tmp_path / "token", content)
    assert not private_files.make_once(path, lambda: SECRET)
    with pytest.raises(Unusable, match=words) as caught:
        private_files.read(path, shortest=16)
    assert str(path) in caught.value.problem
    assert path.read_bytes() == content


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666, 0o601])
def test_a_secret_that_others_reach_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    path = private(tmp_path / "token", SECRET.encode())
    path.chmod(mode)
    with pytest.raises(Unusable, match="open to other OS users") as caught:
        private_files.read(path)
    assert caught.value.remedy == f"chmod 600 {path}"
    assert SECRET not in str(caught.value)


def test_a_secret_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="cannot be read: No such file or directory"):
        private_files.read(tmp_path / "token")
