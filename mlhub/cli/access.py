"""Which quota service a command asks, and with which credential: as named, or as found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from mlhub.cli.stack import HomeOption
from mlhub.stack import running, secret_files, wiring
from mlhub.stack.home import Home

__all__ = ["Access", "HomeOption", "JsonOption", "Lack", "TokenFileOption", "UrlOption", "find"]

SERVICE = "services/quota"

UrlOption = Annotated[
    str | None,
    typer.Option(
        "--url",
        envvar="MLHUB_URL",
        help="The quota service, such as https://hub.example.org/services/quota.",
    ),
]
TokenFileOption = Annotated[
    Path | None,
    typer.Option(
        "--token-file", envvar="MLHUB_TOKEN_FILE", help="A file with your JupyterHub token."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON for programs.")]


@dataclass(frozen=True, slots=True)
class Access:
    """A service and a credential for it.

    Attributes:
        url: the service's address, without its API's path.
        token: what the environment of a server of ours holds; else `token_file` names it.
    """

    url: str
    token: str | None = None
    token_file: Path | None = None


class Lack(Exception):
    """There is no service to ask, or nothing to ask with.

    Attributes:
        running: True when it is the credential that lacks.
    """

    def __init__(self, text: str, *, running: bool) -> None:
        self.running = running
        super().__init__(text)


def find(
    url: str | None, token_file: Path | None, home: Home, environ: Mapping[str, str]
) -> Access:
    """The service and the credential that a command is to use.

    A token is only ever sent to the address that it was found with or named for.

    Args:
        url: the service as it was named, if it was.
        token_file: the credential as it was named, if it was.
        home: where a stack may run.
        environ: of this process; a server of ours finds its own token and service there.

    Raises:
        Lack: no service was named or found, or no credential for it.
    """
    known = [access for access in (_of_server(environ), _of_home(home)) if access]
    if url is None and not known:
        raise Lack(
            f"No mlhub runs in {home.path}. Start one with `mlhub up`, or name one with --url "
            "and --token-file.",
            running=False,
        )
    wanted = _plain(url) if url is not None else known[0].url
    if token_file is not None:
        return Access(wanted, token_file=token_file.expanduser())
    for access in known:
        if access.url == wanted:
            return access
    raise Lack(
        f"There is no token for {wanted}. Make one on the hub's page 'Token', put it into a file "
        "of mode 600, and name that with --token-file or MLHUB_TOKEN_FILE.",
        running=True,
    )


def _of_server(environ: Mapping[str, str]) -> Access | None:
    """What a server that mlhub started has in its environment."""
    url, token = environ.get("MLHUB_API_URL"), environ.get("JUPYTERHUB_API_TOKEN")
    return Access(_plain(url), token=token) if url and token else None


def _of_home(home: Home) -> Access | None:
    """The stack that runs in a home, with its operator's token."""
    plan = wiring.load(home) if running.find_watcher(home) else None
    if plan is None:
        return None
    return Access(f"{plan.url}{SERVICE}", token_file=home.secrets / secret_files.OPERATOR_TOKEN)


def _plain(url: str) -> str:
    return url.rstrip("/").removesuffix("/api/v1")
