"""Makes the Python environment; runs on a plain Python 3.11+, before anything is installed."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import pwd
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LINK = ROOT / ".venv"
LOCKS = {
    "run": ROOT / "requirements" / "stack.txt",
    "test": ROOT / "requirements" / "test.txt",
}
INSTALLER = ROOT / "requirements" / "installer.txt"
SYSTEM_PYTHON = Path("/usr/bin/python3")
SHARED_ENVIRONMENTS = Path("/opt/mlhub")
OLDEST = (3, 11)
TELL_EVERY_SECONDS = 5
STAMP = "mlhub-environment.json"
LOADED = (
    "mlhub.cli mlhub.stack.up mlhub.stack.hub_wiring mlhub.stack.sign_in mlhub.hub_config "
    "mlhub.spawner.local jupyterhub.app hub_services.quota.__main__ hub_services.mlflow.__main__ "
    "jupyterhub.singleuser.app jupyterhub.singleuser.extension mlhub.singleuser.extension "
    "jupyterlab.labapp jupyter_server_proxy jupyter_server_terminals ipykernel.kernelapp",
    "mlflow mlflow.server.fastapi_app mlflow.server.handlers hub_services.mlflow.backend "
    "mlflow.store.tracking.sqlalchemy_store",
)
"""What the parts and people's servers load, for two processes; servers of other OS users cannot
write its bytecode themselves."""


class Unusable(Exception):
    """The machine cannot make the environment; the text says why and what to do."""


def say(text: str) -> None:
    """Prints one line at once, so that steps and the installers' own output keep their order."""
    print(text, flush=True)


def others_may_enter(path: Path) -> bool:
    """Tells whether an OS user other than the owner may reach and execute `path`."""
    real = path.resolve()
    return all(step.stat().st_mode & 0o001 for step in (real, *real.parents))


def choose_python(running: Path, *, as_root: bool) -> Path:
    """Picks the Python that the environment is made from.

    As root each person's server runs under their own OS user, so the interpreter must be
    executable by everybody: one below a private home directory is not.

    Raises:
        Unusable: nobody but root could run any Python that was found.
    """
    if not as_root or others_may_enter(running):
        return running
    if SYSTEM_PYTHON.exists() and version_of(SYSTEM_PYTHON) >= OLDEST:
        say(f"      {running} is closed to other OS users: using {SYSTEM_PYTHON} instead")
        return SYSTEM_PYTHON
    raise Unusable(
        f"{running} lies in a directory that other OS users cannot enter, and there is no "
        f"{SYSTEM_PYTHON} of version 3.11 or newer. Either install one, name another "
        "(make up PYTHON=/path/to/python3), or run without root as the one person who signs in."
    )


def version_of(python: Path) -> tuple[int, int]:
    """Asks an interpreter for its major and minor version."""
    code = "import sys; print(*sys.version_info[:2])"
    answer = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    major, minor = answer.stdout.split()
    return int(major), int(minor)


def place_for_environment(*, as_root: bool) -> Path:
    """Says where the environment goes: `.venv`, or outside if other OS users cannot enter here."""
    if not as_root or others_may_enter(ROOT):
        return LINK
    digest = hashlib.sha256(str(ROOT).encode()).hexdigest()[:12]
    return SHARED_ENVIRONMENTS / f"environment-{digest}"


def is_a_strangers(path: Path) -> bool:
    """Tells whether another OS user made what is there, or leads to nothing any more."""
    try:
        return path.stat().st_uid != os.geteuid()
    except FileNotFoundError:
        return path.is_symlink()
    except PermissionError:
        return True


def named_by(process: Path) -> Iterator[str]:
    """Gives the paths that a process stands in, runs and was started with, as far as we may see."""
    where = ""
    with suppress(OSError):
        where = str((process / "cwd").readlink())
        yield where
        yield str((process / "exe").readlink())
    with suppress(OSError):
        for word in os.fsdecode((process / "cmdline").read_bytes()).split("\0"):
            yield os.path.normpath(os.path.join(where, word))  # noqa: PTH118 - not resolved


def users_of(path: Path) -> Iterator[tuple[int, int]]:
    """Finds who runs what lies below a directory: numbers of process and OS user (Linux)."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it may have ended meanwhile
            if any(f"{name}/".startswith(f"{path}/") for name in named_by(process)):
                yield int(process.name), process.stat().st_uid


def make_sure_nobody_else_runs(place: Path) -> None:
    """Lets a change begin unless it takes away what somebody runs: to Python, a rename does.

    What we made ourselves keeps its place, and our own processes may go on in it.

    Raises:
        Unusable: somebody runs what is to be changed; the text says who and what to do.
    """
    for path in {LINK, place}:
        ours = not is_a_strangers(path)
        for pid, uid in users_of(path):
            if not (ours and uid == os.geteuid()):
                raise Unusable(
                    f"{path} would have to be made anew, and {name_of(uid)} runs it (process "
                    f"{pid}). Have that ended first (for a stack: `make down` or `mlhub down`, "
                    "by the one who started it), or use a clone of your own."
                )


def name_of(uid: int) -> str:
    """Names an OS user."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"the OS user {uid}"


def make_room(place: Path) -> None:
    """Frees `.venv` from what another OS user made there, and brings back what we had.

    What two OS users write into, neither can renew. Nobody runs what is there.

    Raises:
        Unusable: only that other user may change this directory.
    """
    try:
        if is_a_strangers(LINK):
            set_aside()
        ours = aside_of(os.geteuid())
        if place == LINK and not LINK.exists() and ours.is_dir():
            ours.rename(LINK)
    except PermissionError as error:
        raise Unusable(
            f"{LINK} belongs to another OS user, and {ROOT} is closed to you. "
            "Run this as that user, or use a clone of your own."
        ) from error


def aside_of(uid: int) -> Path:
    """Says where the environment of an OS user waits while `.venv` is another one's."""
    return LINK.with_name(f"{LINK.name}-of-{uid}")


def set_aside() -> None:
    """Moves what `.venv` is, unless it only leads elsewhere."""
    if LINK.is_symlink():
        LINK.unlink()
        return
    aside = aside_of(LINK.stat().st_uid)
    if aside.exists():
        shutil.rmtree(aside)  # older than the one that takes its place
    LINK.rename(aside)


def link_to(place: Path) -> None:
    """Lets `.venv` lead to an environment that had to be made elsewhere."""
    if place == LINK:
        return
    if LINK.is_symlink() or LINK.exists():
        set_aside()
    LINK.symlink_to(place)
    say(f"      other OS users cannot enter {ROOT}: the environment is in {place}")


def make_environment(python: Path, place: Path) -> None:
    """Makes the empty virtual environment unless a usable one is there."""
    inside = place / "bin" / "python"
    if inside.exists() and (place / "pyvenv.cfg").exists():
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    answer = subprocess.run(
        [python, "-m", "venv", "--clear", place], capture_output=True, text=True, check=False
    )
    if answer.returncode:
        detail = (answer.stdout + answer.stderr).strip().splitlines() or ["no message"]
        raise Unusable(
            f"{python} cannot make a virtual environment ({detail[0]}). "
            "On Debian and Ubuntu its venv module is the package python3-venv."
        )


def wanted_state(kind: str, *, editable: bool) -> dict[str, str]:
    """Describes an up-to-date environment; compared with what the last run wrote down."""
    return {
        "kind": kind,
        "lock": digest_of(LOCKS[kind]),
        "installer": digest_of(INSTALLER),
        "project": digest_of(ROOT / "pyproject.toml") if editable else digest_of_sources(),
        "root": str(ROOT),
    }


def digest_of(path: Path) -> str:
    """Names the content of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def source_files() -> Iterator[Path]:
    """Lists what a copied (not editable) installation is made of."""
    yield ROOT / "pyproject.toml"
    for package in ("mlhub", "hub_services"):
        yield from sorted(
            p for p in (ROOT / package).rglob("*") if p.is_file() and p.suffix != ".pyc"
        )


def digest_of_sources() -> str:
    """Names the content of all sources, for the installation that is a copy."""
    lines = (f"{path.relative_to(ROOT)} {digest_of(path)}\n" for path in source_files())
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def read_state(stamp: Path) -> dict[str, str]:
    """Reads what the last finished run wrote down; nothing if it never finished."""
    try:
        return dict(json.loads(stamp.read_text()))
    except (OSError, ValueError):
        return {}


def size_of(place: Path) -> str:
    """Measures a directory tree, in MB, counting hard-linked files once."""
    seen = {}
    for path in place.rglob("*"):
        if path.is_file() and not path.is_symlink():
            status = path.stat()
            seen[status.st_ino] = status.st_size
    return f"{sum(seen.values()) / 1e6:,.0f} MB"


def written_by(pid: int) -> str:
    """Says how much a running installer has written so far; nothing where the OS does not tell."""
    try:
        counters = Path(f"/proc/{pid}/io").read_text()
    except OSError:
        return ""
    fields = dict(line.split(": ") for line in counters.splitlines())
    return f", {int(fields['wchar']) / 1e6:,.0f} MB unpacked"


def run_tool(command: list[str | Path], *, doing: str) -> None:
    """Runs an installer, telling every few seconds how far it is.

    Raises:
        Unusable: it failed; its own output, just above, says why.
    """
    started = time.monotonic()
    with subprocess.Popen(command, cwd=ROOT) as tool:
        while True:
            try:
                code = tool.wait(timeout=TELL_EVERY_SECONDS)
                break
            except subprocess.TimeoutExpired:
                say(f"      {time.monotonic() - started:.0f} s{written_by(tool.pid)}")
    if code:
        raise Unusable(f"{doing} failed; the lines above say why. A next run goes on from here.")


def install_packages(place: Path, lock: Path) -> None:
    """Brings the environment to what the lock names."""
    python, uv = place / "bin" / "python", place / "bin" / "uv"
    count = sum(1 for line in lock.read_text().splitlines() if line[:1].isalnum())
    say("[2/5] Installer: uv, about 25 MB")
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run_tool([*pip, "--requirement", INSTALLER], doing="Installing uv")
    say(f"[3/5] Packages: {count} pinned ones, about 1.1 GB on disk")
    words = ["--quiet", "--python", python, "--require-hashes", "--requirement", lock]
    run_tool([uv, "pip", "install", *words], doing="Installing the pinned packages")


def install_project(place: Path, *, editable: bool) -> None:
    """Puts the project itself into the environment."""
    say("[4/5] mlhub itself")
    python, uv = place / "bin" / "python", place / "bin" / "uv"
    project = ["--editable", ROOT] if editable else ["--reinstall-package", "mlhub", ROOT]
    words = ["--quiet", "--python", python, "--no-deps", *project]
    run_tool([uv, "pip", "install", *words], doing="Installing mlhub")


def bring_up_to_date(kind: str) -> None:
    """Makes or refreshes the environment; does nothing when the last run's stamp still holds."""
    place = place_for_environment(as_root=os.geteuid() == 0)
    if is_current(place, kind):
        return
    make_sure_nobody_else_runs(place)
    make_room(place)
    if is_current(place, kind):
        return
    before, wanted = states_of(place, kind)
    make(place, before, wanted, editable=place == LINK)
    (place / STAMP).write_text(json.dumps(wanted, indent=1))
    say(f"      {size_of(place)} on disk")


def states_of(place: Path, kind: str) -> tuple[dict[str, str], dict[str, str]]:
    """Says what the environment is, and what it has to be."""
    before = read_state(place / STAMP)
    if before.get("kind") == "test":
        kind = "test"  # it has all that a run needs, and a change back and forth costs minutes
    return before, wanted_state(kind, editable=place == LINK)


def is_current(place: Path, kind: str) -> bool:
    """Tells whether nothing is to be done: it is up to date, whoever made it.

    As root, everybody's server runs from it, so others must be able to enter it.
    """
    before, wanted = states_of(place, kind)
    programs = [place / "bin" / "mlhub", place / "bin" / "python"]
    return (
        before == wanted
        and all(program.exists() for program in programs)
        and LINK.resolve() == place.resolve()
        and (os.geteuid() != 0 or all(map(others_may_enter, programs)))
    )


def keep_bytecode(place: Path) -> None:
    """Loads once what is loaded at each start, and so keeps its bytecode.

    An import that fails is left to the part that needs it, which says so in its log.
    """
    say("[5/5] Bytecode of all that a start loads, which takes some ten seconds")
    code = """if True:
        import contextlib, importlib, sys
        for name in sys.argv[1:]:
            with contextlib.suppress(Exception):
                importlib.import_module(name)
    """
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    where = {"env": environment, "cwd": place, "stdout": subprocess.DEVNULL}
    words = [place / "bin" / "python", "-W", "ignore", "-c", code]
    loading = [subprocess.Popen([*words, *names.split()], **where) for names in LOADED]
    for process in loading:
        process.wait()


def make(place: Path, before: dict[str, str], wanted: dict[str, str], *, editable: bool) -> None:
    """Does the steps that are due: all five, or the last two where only the project changed."""
    changed = {key for key in wanted if before.get(key) != wanted[key]}
    if not changed <= {"project"} or not (place / "bin" / "uv").exists():
        python = choose_python(Path(sys.executable), as_root=os.geteuid() == 0)
        say(f"[1/5] Python environment: {place}, from {python}")
        (place / STAMP).unlink(missing_ok=True)
        make_environment(python, place)
        install_packages(place, LOCKS[wanted["kind"]])
    link_to(place)
    install_project(place, editable=editable)
    keep_bytecode(place)


def main() -> int:
    """Entry point of `python3 tools/environment.py [run|test]`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=sorted(LOCKS), nargs="?", default="run")
    kind = parser.parse_args().kind
    if os.geteuid() == 0:
        os.umask(0o022)  # every OS user runs their server from this environment
    try:
        if sys.version_info < OLDEST:
            raise Unusable(f"Python 3.11 or newer is needed; {sys.executable} is {sys.version}")
        bring_up_to_date(kind)
    except Unusable as problem:
        print(f"mlhub: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
