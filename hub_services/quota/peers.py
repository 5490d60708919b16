"""Which OS user of this machine is at the other end of a connection, as the kernel has it."""

from __future__ import annotations

import os
import socket
import sys
from ipaddress import ip_address
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc/self/net")
ESTABLISHED: Final = b"01"  # an end whose process let it go is listed later on too, as root's


def is_ours(connection: socket.socket | None) -> bool:
    """Whether the peer is a process of root's or of this service's own OS user, on this machine."""
    return connection is not None and uid_of_peer(connection) in {0, os.geteuid()}


def uid_of_peer(connection: socket.socket) -> int | None:
    """As which OS user the process runs that opened a connection; None where nobody can say.

    Every user of the machine can connect to a port of its loopback, a notebook server too.
    """
    try:
        here, there = connection.getsockname()[:2], connection.getpeername()[:2]
        if not ip_address(there[0]).is_loopback:
            return None
        return _uid_of(_as_listed(*there), _as_listed(*here))
    except (OSError, ValueError):
        return None


def _uid_of(local: bytes, remote: bytes) -> int | None:
    """The owner of the socket with these two ends."""
    table = PROC / ("tcp" if len(local) == len("0100007F:1F90") else "tcp6")
    with table.open("rb") as rows:
        for row in rows:
            words = row.split()
            if words[1:4] == [local, remote, ESTABLISHED]:
                return int(words[7])
    return None


def _as_listed(address: str, port: int) -> bytes:
    """An end of a connection as the kernel lists it: words of four bytes in its own order."""
    packed = ip_address(address).packed
    words = (packed[at : at + 4] for at in range(0, len(packed), 4))
    place = "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words)
    return f"{place}:{port:04X}".encode()
