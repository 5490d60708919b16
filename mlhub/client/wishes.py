"""What is asked of the quota service when devices are wanted, and how it goes over the wire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any


@dataclass(frozen=True, slots=True)
class Wish:
    """What one holder wants.

    Attributes:
        flavor: the flavor's name.
        count: devices, all on one node.
        server: the server's name, "" for the default one.
        duration: how long; None: as configured.
        wait: queue when it cannot be had now, instead of being refused.
        user: whose it will be; needs the right to act for users. None: the token's own.
        groups: that user's groups, when one is named.
        kind: of the holder, see `mlhub.core.claims.HolderKind`.
        user_options: what starts the server again when its turn comes.
    """

    flavor: str
    count: int = 1
    server: str = ""
    duration: timedelta | str | None = None
    wait: bool = False
    user: str | None = None
    groups: tuple[str, ...] = ()
    kind: str = "server"
    user_options: Mapping[str, Any] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """The JSON body of the request."""
        body: dict[str, Any] = {
            "flavor": self.flavor, "count": self.count, "server": self.server, "kind": self.kind,
            "wait": self.wait, "user_options": dict(self.user_options),
        }  # fmt: skip
        if self.duration is not None:
            body["duration"] = wire_duration(self.duration)
        if self.user is not None:
            body |= {"user": self.user, "groups": list(self.groups)}
        return body


def wire_duration(duration: timedelta | str) -> str | float:
    """A duration as the API takes it: text as it is, else seconds."""
    return duration.total_seconds() if isinstance(duration, timedelta) else duration
