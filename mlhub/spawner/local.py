"""Servers as processes of this machine, each with exactly the GPUs of its lease."""

from __future__ import annotations

import asyncio
import os
import pwd
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from jupyterhub.spawner import LocalProcessSpawner
from tornado import web
from traitlets import Float, List, Unicode, default, observe

from mlhub.core.claims import Placement
from mlhub.ending import mark_of
from mlhub.singleuser.environment import (
    apps_environment,
    lease_environment,
    mlflow_environment,
    server_arguments,
    terminal_arguments,
)
from mlhub.spawner.leasing import GPULeaseMixin
from mlhub.spawner.processes import Identified, belonging, end_all, is_same
from mlhub.spawner.refusals import Told
from mlhub.spawner.wiring import MLFLOW, proxy_url, service
from mlhub.system_accounts import system_problem

MARK: Final = "pid_mark"
NOTHING: Final = {"CUDA_VISIBLE_DEVICES": "", "NVIDIA_VISIBLE_DEVICES": "void"}
GLANCE_S: Final = 0.05
NOBODY: Final = Identified(0, "")


def apply_placement(
    environment: Mapping[str, str],
    placement: Placement | None,
    *,
    lease_id: str = "",
    api_url: str = "",
    simulated: bool = False,
) -> dict[str, str]:
    """The environment of a server that may use these devices and no others.

    Args:
        environment: what it has otherwise.
        placement: the devices of its lease; None for a server without a GPU.
        lease_id: of the lease, for who watches the devices.
        api_url: where the first use of the lease is reported.
        simulated: True when the devices are not real.
    """
    if placement is None:
        return {**environment, **NOTHING}
    visible = ",".join(placement.devices)
    devices = {"CUDA_VISIBLE_DEVICES": visible, "NVIDIA_VISIBLE_DEVICES": visible}
    lease = lease_environment(lease_id=lease_id, api_url=api_url)
    marked = {"MLHUB_SIMULATED": "1"} if simulated else {}
    return {**environment, **devices, **lease, **marked}


class LocalGPUSpawner(GPULeaseMixin, LocalProcessSpawner):
    """Starts servers on this machine, with root each as an OS user of its own.

    Without root every server runs as the OS user that the hub runs as, and only that user may
    have one.
    """

    server_api_url = Unicode(
        help="""
        Where servers reach the quota service's API. Default: as the hub does (`quota_url`).
        """,
    ).tag(config=True)
    allowed_system_accounts = List(
        Unicode(),
        help="""
        Accounts of the system, below `UID_MIN` of /etc/login.defs (1000 where it does not say),
        that servers of a hub with root may run as; `root` never is. Default: what `mlhub.yaml` has
        under `authentication`. Example: `["builder"]`.
        """,
    ).tag(config=True)
    reap_timeout = Float(
        5.0,
        help="""
        Seconds that what a server started may take to end after it, before it is killed.
        """,
    ).tag(config=True)

    @default("server_api_url")
    def _default_server_api_url(self) -> str:
        return str(self.quota_url)

    @default("default_url")
    def _default_default_url(self) -> str:
        return "/lab"

    def __init__(self, **kwargs: Any) -> None:
        self.pid_mark = ""
        self.former = NOBODY
        self.started_by_server: set[Identified] = set()
        super().__init__(**kwargs)

    # Start

    async def start(self) -> Any:
        """Starts the server as its owner's OS user."""
        self.check_os_user()
        try:
            address = await super().start()
        except OSError as error:
            raise failure(f"it cannot be run as '{self.user.name}' ({error})") from error
        await self.until_it_listens()
        return address

    async def until_it_listens(self) -> None:
        """Waits for the server's port, so that the hub's first look at it is not in vain.

        The hub looks with pauses that grow to seconds. A server that never listens is left to it.

        Raises:
            HTTPError: the server has ended.
        """
        deadline = time.monotonic() + self.http_timeout
        while time.monotonic() < deadline:
            status = await self.poll()
            if status is not None:
                raise failure(f"it ended as soon as it began (exit status {status})")
            if await answers(self.ip or "127.0.0.1", self.port):
                return
            await asyncio.sleep(GLANCE_S)

    def check_os_user(self) -> None:
        """Refuses a server for somebody who is no OS user, or whom this hub cannot become."""
        try:
            uid = pwd.getpwnam(self.user.name).pw_uid
        except KeyError:
            text = f"There is no account '{self.user.name}' on this machine; nothing was started."
            raise self.refused(Told("no-account", text, 403)) from None
        if os.geteuid() not in (0, uid):
            me = pwd.getpwuid(os.geteuid()).pw_name
            text = f"This hub runs without root and starts servers for '{me}' only."
            raise self.refused(Told("other-account", text, 403))
        if os.geteuid() == 0:
            self.refuse_the_systems(uid)

    def refuse_the_systems(self, uid: int) -> None:
        """Refuses a server that would run as an account of the system, whoever starts it."""
        allowed = self.allowed_system_accounts
        if problem := system_problem(self.user.name, uid, allowed=allowed):
            text = (
                f"{problem}: no server runs as it. An administrator may allow it by "
                "`authentication: allowed_system_accounts` in mlhub.yaml (never root)."
            )
            raise self.refused(Told("system-account", text, 403))

    def make_preexec_fn(self, name: str) -> Callable[[], None] | None:
        """Becomes the OS user where that is possible."""
        return super().make_preexec_fn(name) if os.geteuid() == 0 else None

    @default("popen_kwargs")
    def _default_popen_kwargs(self) -> dict[str, Any]:
        if os.geteuid() == 0:
            return {}  # `make_preexec_fn` goes to the home, as the user
        home = Path(pwd.getpwuid(os.geteuid()).pw_dir)
        return {"cwd": home} if home.is_dir() else {}

    def get_env(self) -> dict[str, str]:
        """The server's environment; what is configured wins, except over the lease's devices."""
        environment = apps_environment(os.environ)
        if service(self.config, MLFLOW):
            hub = proxy_url(self.config)
            environment |= mlflow_environment(hub_url=hub, token=self.api_token)
        lease = self.claiming.lease
        return apply_placement(
            environment | super().get_env(),
            Placement(node="", devices=tuple(lease["devices"])) if lease else None,
            lease_id=lease.get("id", ""),
            api_url=self.server_api_url,
            simulated=lease.get("simulated", False),
        )

    def get_args(self) -> list[str]:
        """The server's arguments, with those of mlhub's extension and for terminals."""
        shell = pwd.getpwnam(self.user.name).pw_shell
        return [*super().get_args(), *server_arguments(), *terminal_arguments(shell)]

    def holder_pid(self) -> int:
        """The server's own process."""
        return int(self.pid)

    # Which process it is

    @property
    def process(self) -> Identified:
        """The server's process, told from a later one with its number."""
        return Identified(self.pid, self.pid_mark)

    @observe("pid")
    def _mark_pid(self, change: Any) -> None:
        self.pid_mark = mark_of(change.new) if change.new else ""

    async def _signal(self, sig: int) -> bool:
        """As its base class does, but never to a process that has only inherited the number."""
        if self.proc is None and self.pid_mark and not is_same(self.process):
            return False
        return bool(await super()._signal(sig))

    def get_state(self) -> dict[str, Any]:
        """Keeps what identifies the process beside its number."""
        state = super().get_state()
        return state | ({MARK: self.pid_mark} if self.pid and self.pid_mark else {})

    def load_state(self, state: dict[str, Any]) -> None:
        """What an earlier hub process kept."""
        super().load_state(state)
        if MARK in state:
            self.pid_mark = str(state[MARK])

    def clear_state(self) -> None:
        """Forgets the server, but not whose processes are still to be ended."""
        if self.pid:
            self.former = self.process
        super().clear_state()

    # Stop

    async def stop(self, now: bool = False) -> None:
        """Ends the server and everything that it started; then its lease is given back."""
        if self.pid:
            self.former = self.process
            lease_id = self.claiming.lease.get("id", "")
            # Who descends from whom can be told only while the server lives.
            self.started_by_server = await self.belonging(lease_id)
        await super().stop(now=now)

    async def clean_up(self, lease_id: str) -> None:
        """Ends what outlives a server: kernels and terminals have sessions of their own."""
        if not self.former.pid:
            return
        left = self.started_by_server | await self.belonging(lease_id)
        self.started_by_server, server, self.former = set(), self.former, NOBODY
        await end_all(left - {server}, patience_s=self.reap_timeout)

    async def belonging(self, lease_id: str) -> set[Identified]:
        """What the server started, as far as it is there."""
        try:
            uid = pwd.getpwnam(self.user.name).pw_uid
        except KeyError:
            uid = -1  # the account is gone; then its session is all that tells
        return await asyncio.to_thread(belonging, self.former, lease_id, uid=uid)


def failure(what: str) -> web.HTTPError:
    """The failure of a server, in words for its owner."""
    text = (
        f"The server did not start: {what}. Try another environment; "
        "the administrator finds the cause in the hub's log."
    )
    error = web.HTTPError(500, text)
    error.jupyterhub_message = text  # type: ignore[attr-defined]
    return error


async def answers(host: str, port: int) -> bool:
    """Whether something listens there."""
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(host, port), timeout=1)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
