"""Which accounts are people's is what the machine says in login.defs."""

from pathlib import Path

import pytest

from mlhub import system_accounts
from mlhub.system_accounts import is_personal_gid, is_personal_uid, system_problem


@pytest.mark.parametrize(
    ("text", "first_uid", "first_gid"),
    [
        ("UID_MIN\t\t\t 500\n#GID_MIN 7\nSYS_UID_MIN 100\n", 500, 1000),
        ("GID_MIN 500 # since ever\nUID_MIN 2000\n", 2000, 500),
        ("UID_MIN many\n", 1000, 1000),
        ("UID_MIN 0\n", 1000, 1000),
        ("UID_MIN\n", 1000, 1000),
        (None, 1000, 1000),
    ],
)
def test_people_begin_where_the_machine_says(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str | None,
    first_uid: int,
    first_gid: int,
) -> None:
    if text is not None:
        (tmp_path / "login.defs").write_text(text)
    monkeypatch.setattr(system_accounts, "LOGIN_DEFS", tmp_path / "login.defs")
    assert [is_personal_uid(uid) for uid in (first_uid - 1, first_uid)] == [False, True]
    assert [is_personal_gid(gid) for gid in (first_gid - 1, first_gid)] == [False, True]
    assert system_problem("ada", first_uid, allowed=()) is None
    assert "account of the system" in str(system_problem("ada", first_uid - 1, allowed=()))
    assert "account of the system" in str(system_problem("root", 0, allowed=("root",)))
    assert "account of the system" in str(system_problem("nobody", 65_534, allowed=()))
