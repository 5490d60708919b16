"""The `flavors:`, `limits:` and `times:` sections, and how they become the core's policy."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Annotated

from pydantic import Field

from mlhub.configuration.values import (
    Duration,
    FlavorName,
    LongText,
    Memory,
    MigProfileName,
    Section,
    SomeTime,
    Text,
    spelled,
)
from mlhub.core.devices import Flavor, MigProfile, Sharing
from mlhub.core.policy import Limit

ResourceName = Annotated[
    str, *spelled(r"[a-z0-9.-]{1,190}/[A-Za-z0-9._-]{1,63}", "write for example nvidia.com/gpu")
]


class FlavorSettings(Section):
    """One class of GPUs that people choose from."""

    name: FlavorName = Field(description="what profiles, limits and the API call it")
    display_name: Text | None = Field(None, description="what people read; default: the name")
    model: Text = Field("*", description="a shell pattern over the driver's name of it")
    profile: MigProfileName | None = Field(
        None, description="the MIG profile, such as 1g.10gb; none: whole GPUs"
    )
    sharing: Sharing = Field(Sharing.NONE, description="how one chip serves several leases at once")
    memory: Memory = Field(
        0, description="of one device; 0: not known, then limits cannot count it"
    )
    resource: ResourceName | None = Field(
        None, description="Kubernetes' name for one; default: from `profile` and `sharing`"
    )
    selector: dict[str, str] = Field(default_factory=dict, description="labels that its nodes have")
    price: Decimal = Field(Decimal(0), ge=0, description="credits for one device and hour")
    description: LongText = Field("", description="a line below it")
    max_count: int | None = Field(None, ge=1, description="the most that one claim may ask for")

    @property
    def resource_name(self) -> str:
        """What Kubernetes calls one of it."""
        plain = MigProfile(self.profile).resource if self.profile else "nvidia.com/gpu"
        shared = "" if self.sharing is Sharing.NONE else ".shared"
        return self.resource or plain + shared

    def flavor(self) -> Flavor:
        """The core's value."""
        return Flavor(
            name=self.name, display_name=self.display_name or self.name, model=self.model,
            profile=self.profile, sharing=self.sharing, memory=self.memory,
            resource=self.resource_name, selector=dict(self.selector), price=self.price,
            description=self.description, max_count=self.max_count,
        )  # fmt: skip


class GroupLimitSettings(Section):
    """What all members of a group may hold together at an instant; absent: no bound."""

    devices: int | None = Field(None, ge=0, description="GPUs at once")
    memory: Memory | None = Field(None, description="memory of the GPUs at once")
    servers: int | None = Field(None, ge=0, description="servers with a GPU at once")

    def limit(self) -> Limit:
        """The core's value."""
        return Limit(devices=self.devices, memory=self.memory, servers=self.servers)


class LimitSettings(GroupLimitSettings):
    """What one person may hold at an instant, and ask for; absent: no bound."""

    flavors: frozenset[FlavorName] | None = Field(None, description="the only ones they may use")
    duration: SomeTime | None = Field(None, description="the longest that they may ask for")

    def limit(self) -> Limit:
        """The core's value."""
        return Limit(
            devices=self.devices, memory=self.memory, servers=self.servers, flavors=self.flavors,
            duration=self.duration,
        )  # fmt: skip


class RequestsSettings(Section):
    """How often one person may ask for changes by the API: claims, releases, renewals."""

    burst: int = Field(60, ge=1, le=1_000_000_000, description="so many at once")
    per_second: float = Field(2.0, gt=0, le=1e9, description="so many more each second")


class LimitsSettings(Section):
    """Who may hold how much, and ask how often."""

    everyone: LimitSettings = Field(
        default_factory=LimitSettings, description="each person to whom no other limit applies"
    )
    users: dict[Text, LimitSettings] = Field(
        default_factory=dict, description="by user name: instead of all other limits"
    )
    members: dict[Text, LimitSettings] = Field(
        default_factory=dict,
        description="by group name: for each member; the widest of a person's groups counts",
    )
    groups: dict[Text, GroupLimitSettings] = Field(
        default_factory=dict, description="by group name: for all members together"
    )
    requests: RequestsSettings = Field(
        default_factory=RequestsSettings, description="how often each person may ask for changes"
    )


class TimesSettings(Section):
    """How long things last."""

    duration: SomeTime = Field(
        timedelta(hours=8), description="of a claim that names none, in a profile that names none"
    )
    claim_window: SomeTime = Field(
        timedelta(minutes=10),
        description="how long a server from the queue keeps its GPU until its owner opens it",
    )
    notice: Duration = Field(
        timedelta(minutes=30),
        description="how long before its end a holder is warned if somebody waits",
    )
    start_timeout: SomeTime = Field(
        timedelta(minutes=5), description="how long a granted GPU waits for its server to be there"
    )
    stop_timeout: SomeTime = Field(
        timedelta(seconds=30),
        description="how long a server may take to end by itself, before it is killed",
    )
    answer_memory: SomeTime = Field(
        timedelta(hours=24), description="how long a repeated request gets the answer it got before"
    )
