"""What comes before the first process: settings, secrets, ports, parts, and what GPUs there are."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mlhub.configuration import ConfigurationError, Settings, default_yaml, load
from mlhub.stack import gpus, leftovers, node, parts, ports, secret_files, sign_in, wiring
from mlhub.stack.home import Home
from mlhub.stack.problems import StackProblem
from mlhub.stack.wiring import Wiring

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the person who starts the stack asked for.

    Attributes:
        home: Where the stack lives.
        host: The address to listen on.
        port: The public TCP port.
        gpus: `auto`, `simulated` or `none`; `auto` leaves it to the settings.
    """

    home: Home
    host: str
    port: int
    gpus: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the first process can be started with.

    Attributes:
        wiring: Who listens where.
        once_up: What people are told when they can sign in.
    """

    wiring: Wiring
    once_up: list[str]


def the_person() -> str | None:
    """Names the only one who may sign in: nobody in particular when we are root."""
    uid = os.geteuid()
    return None if uid == 0 else pwd.getpwuid(uid).pw_name


def make_ready(wishes: Wishes, say: Say) -> Prepared:
    """Does all that comes before the first process.

    Raises:
        StackProblem: something is missing, wrong or in the way.
    """
    home = wishes.home
    if left := leftovers.clear(home):
        say(f"ended {left} processes that an earlier run had left behind")
    ports.require_free(wishes.host, wishes.port)
    settings = read_settings(home.config_file, say)
    secret_files.make_missing(home.secrets)
    choice = gpus.choose(settings.inventory.source if wishes.gpus == "auto" else wishes.gpus)
    cache = node.cache_directory(os.environ, home.path)
    installed = node.install_parts(cache, home.commands, say)
    plan = plan_wiring(wishes, settings, installed, source=choice.source)
    ways = sign_in.rehearse(home, plan, settings.authentication)
    wiring.save(home, plan)
    return Prepared(plan, [choice.sentence, f"mlhub is up: {plan.url}", *ways])


def read_settings(path: Path, say: Say) -> Settings:
    """Reads `mlhub.yaml`; writes one to begin with where there is none.

    Raises:
        StackProblem: something in it is wrong; each finding has its line.
    """
    try:
        with path.open("x") as file:
            file.write(sign_in.first_settings(default_yaml(), as_root=os.geteuid() == 0))
        path.chmod(0o600)
        say(f"wrote the settings {path}: change them as you like")
    except FileExistsError:
        pass  # an operator's file is never touched
    try:
        return load(path)
    except ConfigurationError as error:
        raise StackProblem(
            f"The settings cannot be used:\n{error}\n",
            remedy="Mend them and check them with `mlhub config check`.",
        ) from error


def plan_wiring(
    wishes: Wishes, settings: Settings, installed: node.NodeParts, *, source: str
) -> Wiring:
    """Gives every part its port."""
    names = parts.services_of(settings)
    hub, proxy_api, *others = ports.free_internal(2 + len(names))
    return Wiring(
        host=wishes.host,
        port=wishes.port,
        base_url=settings.hub.prefix,
        hub_port=hub,
        proxy_api_port=proxy_api,
        service_ports=dict(zip(names, others, strict=True)),
        person=the_person(),
        gpus=source,
        node=str(installed.node),
        proxy=str(installed.proxy),
        code_server=str(installed.code_server),
    )
