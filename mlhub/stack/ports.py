"""TCP ports: whether one can be had, and free ones for the parts that only talk to each other."""

from __future__ import annotations

import errno
import random
import socket

import psutil

from mlhub.stack.problems import StackProblem

# Below the range from which Linux and macOS take ports for outgoing connections, so that a port
# which a restarting process gave up for a second is still free when it comes back.
FIRST_INTERNAL, LAST_INTERNAL = 20_000, 32_000
TRIES = 200
LAST_PORT, FIRST_OF_USERS = 65_535, 8100


def require_free(host: str, port: int) -> None:
    """Makes sure that the public port can be opened.

    Args:
        host: The address to listen on.
        port: The TCP port.

    Raises:
        StackProblem: it is taken, reserved, or the address is not one of this machine's.
    """
    try:
        try_to_bind(host, port)
    except OSError as error:
        remedy = what_to_do(port, error)
        raise StackProblem(reason_why_not(host, port, error), remedy=remedy) from error


def what_to_do(port: int, error: OSError) -> str:
    """Says how to get an address that can be had."""
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return "Name an address of this machine with --host; without it mlhub listens on 127.0.0.1."
    other = port + 100 if port < LAST_PORT - 100 else FIRST_OF_USERS
    return f'Choose another: `mlhub up --port {other}`, or `make up ARGS="--port {other}"`.'


def reason_why_not(host: str, port: int, error: OSError) -> str:
    """Puts the refusal of a port into words."""
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is taken{by_whom(port)}"
    if error.errno == errno.EACCES:
        return f"Port {port} needs root"
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is no address of this machine"
    return f"Port {port} on {host} cannot be opened: {error.strerror or error}"


def by_whom(port: int) -> str:
    """Names the process that listens on a port, as far as we may see it."""
    try:
        connections = psutil.net_connections(kind="tcp")
        owners = {c.pid for c in connections if c.laddr and c.laddr.port == port and c.pid}
        names = [f"{psutil.Process(pid).name()} (process {pid})" for pid in sorted(owners)]
    except psutil.Error:
        return " by another program"
    return f" by {names[0]}" if names else " by another program"


def try_to_bind(host: str, port: int) -> None:
    """Opens a listening port and gives it back at once.

    Raises:
        OSError: the port cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))


def free_internal(count: int) -> list[int]:
    """Finds free ports on the loopback address.

    Args:
        count: How many different ones.

    Raises:
        StackProblem: nearly all of them are taken.
    """
    found: list[int] = []
    for _ in range(TRIES):
        candidate = random.randint(FIRST_INTERNAL, LAST_INTERNAL)  # noqa: S311 - no secret
        if candidate not in found and is_free("127.0.0.1", candidate):
            found.append(candidate)
        if len(found) == count:
            return found
    raise StackProblem(
        f"No free TCP ports between {FIRST_INTERNAL} and {LAST_INTERNAL}",
        remedy="End programs that hold many ports and try again.",
    )


def is_free(host: str, port: int) -> bool:
    """Tells whether a port could be opened now."""
    try:
        try_to_bind(host, port)
    except OSError:
        return False
    return True
