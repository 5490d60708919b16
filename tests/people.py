"""OS users for tests: made for real, and removed with everything they left."""

from __future__ import annotations

import pwd
import secrets
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.parts import need_root
from tests.waiting import wait_until

PASSWD_FILE_IS_LOCKED = 1


@dataclass(frozen=True)
class Person:
    """An OS user who can sign in by PAM."""

    name: str
    password: str
    uid: int
    gid: int
    home: Path

    def environment(self) -> dict[str, str]:
        """What a fresh login of theirs would have."""
        kept = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
        return kept | {"HOME": str(self.home), "USER": self.name, "LOGNAME": self.name}

    def popen(
        self,
        command: Sequence[str | Path],
        *,
        environ: Mapping[str, str] | None = None,
        **more: Any,
    ) -> subprocess.Popen[Any]:
        """Starts a process as this person."""
        return subprocess.Popen(
            command,
            user=self.uid,
            group=self.gid,
            extra_groups=[],
            env=self.environment() | dict(environ or {}),
            cwd=more.pop("cwd", self.home),
            **more,
        )


@contextmanager
def os_user(stem: str = "person") -> Iterator[Person]:
    """Makes an OS user with a private home; removes both, and their processes, at the end.

    Args:
        stem: What the name begins with; some letters are added so that it is nobody's yet.
    """
    need_root()
    name, password = f"{stem}-{secrets.token_hex(2)}", secrets.token_urlsafe(15)
    account_tool("useradd", "--create-home", "-K", "HOME_MODE=0700", "--shell", "/bin/bash", name)
    try:
        account_tool("chpasswd", text=f"{name}:{password}\n")
        entry = pwd.getpwnam(name)
        yield Person(name, password, entry.pw_uid, entry.pw_gid, Path(entry.pw_dir))
    finally:
        end_processes_of(pwd.getpwnam(name).pw_uid)
        account_tool("userdel", "--force", "--remove", name)


def account_tool(*words: str, text: str = "") -> None:
    """Runs a tool that changes the accounts, again while another one holds their lock."""

    def run() -> bool:
        answer = subprocess.run(words, input=text, capture_output=True, text=True, check=False)
        if answer.returncode == 0 or (words[0] == "userdel" and answer.returncode == 12):
            return True  # 12: the mailbox, which was never there, could not be removed
        if "lock" not in answer.stderr:
            raise RuntimeError(f"{words[0]}: {answer.stderr}")
        return False

    wait_until(run, within_s=30, what=f"{words[0]} got the lock of the accounts")


def end_processes_of(uid: int) -> None:
    """Kills whatever an OS user still runs."""
    theirs = [p for p in psutil.process_iter() if uid_of(p) == uid]
    for process in theirs:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(theirs, timeout=10)


def uid_of(process: psutil.Process) -> int | None:
    """Tells whose a process is; None when it has ended."""
    try:
        return int(process.uids().real)
    except psutil.Error:
        return None
