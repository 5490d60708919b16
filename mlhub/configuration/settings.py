"""The whole of mlhub.yaml as one value, and the policy that follows from it."""

from __future__ import annotations

from pydantic import Field

from mlhub.authentication_settings import AuthenticationSettings
from mlhub.configuration.flavors import FlavorSettings, LimitsSettings, TimesSettings
from mlhub.configuration.profiles import PlainProfile
from mlhub.configuration.sections import (
    HubSettings,
    InventorySettings,
    LedgerSettings,
    MlflowSettings,
    SimulationSettings,
)
from mlhub.configuration.values import Section, Text
from mlhub.core.policy import Policy


class Settings(Section):
    """Everything that the operator of an mlhub may set."""

    authentication: AuthenticationSettings = Field(
        default_factory=AuthenticationSettings, description="who may sign in, and how"
    )
    ledger: LedgerSettings = Field(
        default_factory=LedgerSettings, description="where the ledger is kept"
    )
    inventory: InventorySettings = Field(
        default_factory=InventorySettings, description="where the devices come from"
    )
    flavors: tuple[FlavorSettings, ...] = Field(
        (), description="the GPUs that people choose from; default: one for each kind of device"
    )
    profiles: tuple[PlainProfile, ...] = Field(
        (), description="the environments of the form, as KubeSpawner's profile_list"
    )
    limits: LimitsSettings = Field(
        default_factory=LimitsSettings, description="who may hold how much, and ask how often"
    )
    priorities: dict[Text, int] = Field(
        default_factory=dict, description="by group name; higher goes first, else 0"
    )
    times: TimesSettings = Field(default_factory=TimesSettings, description="how long things last")
    hub: HubSettings = Field(default_factory=HubSettings, description="how people reach the hub")
    mlflow: MlflowSettings = Field(
        default_factory=MlflowSettings, description="the team's MLflow server"
    )
    simulation: SimulationSettings = Field(
        default_factory=SimulationSettings, description="for trials and tests of mlhub itself"
    )

    def policy(self) -> Policy:
        """The rules of every decision."""
        limits, times = self.limits, self.times
        return Policy(
            flavors=tuple(row.flavor() for row in self.flavors),
            everyone=limits.everyone.limit(),
            users={name: row.limit() for name, row in limits.users.items()},
            members={name: row.limit() for name, row in limits.members.items()},
            groups={name: row.limit() for name, row in limits.groups.items()},
            priorities=dict(self.priorities),
            duration=times.duration,
            claim_window=times.claim_window,
            notice=times.notice,
            start_timeout=times.start_timeout,
            stop_timeout=times.stop_timeout,
            answer_memory=times.answer_memory,
        )
