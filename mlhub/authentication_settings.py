"""The `authentication:` section of mlhub.yaml: who may sign in, and by which method.

Only values and the contradictions that the file alone can show belong here; what depends on the
machine (root, the public address, what a secret's file holds) is checked in mlhub/authenticator.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from mlhub.provider_settings import (
    AccessSettings,
    GitHubSettings,
    GoogleSettings,
    OidcSettings,
    SecretReference,
    Section,
    Text,
    UserName,
)

ProviderName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,30}$")]


def _on_means_defaults(value: object) -> object:
    """Reads `true` as a section with its defaults, and `false` as no section."""
    if isinstance(value, bool):
        return {} if value else None
    return value


class LocalPasswordSettings(Section):
    """A generated password for the one person of a hub that only this machine can reach."""

    password_file: Path | None = Field(
        None, description="default: `sign-in-password` in the state directory"
    )
    wrong_tries_per_minute: int = Field(
        10, ge=1, le=600, description="after these even the right password waits"
    )


class PamSettings(AccessSettings):
    """The accounts and groups of this machine; needs a hub that runs as root."""

    service: Text = Field("login", description="the file in /etc/pam.d that decides")
    wrong_tries_per_minute: int = Field(10, ge=1, le=600, description="for each account")

    @model_validator(mode="after")
    def _somebody(self) -> Self:
        self.require_somebody("pam")
        return self


Provider = Annotated[GitHubSettings | GoogleSettings | OidcSettings, Field(discriminator="type")]


class AuthenticationSettings(Section):
    """Every way to sign in, on one page."""

    local_password: Annotated[LocalPasswordSettings | None, BeforeValidator(_on_means_defaults)] = (
        Field(None, description="`true`, or a section")
    )
    pam: PamSettings | None = Field(None, description="accounts of this machine; needs root")
    providers: dict[ProviderName, Provider] = Field(
        default_factory=dict,
        description="by a name of yours, which is part of the callback address",
    )
    manage_groups: bool | None = Field(
        None, description="groups come from the provider; default: true where one gives groups"
    )
    os_users: Literal["mapped", "existing", "create"] = Field(
        "mapped",
        description="accounts that a provider's people get where the hub runs as root: those named "
        "in `accounts` and `names`; those of the same name; or new ones",
    )
    allowed_system_accounts: frozenset[UserName] = Field(
        frozenset(), description="accounts of the system that may sign in and have servers"
    )
    identity_database: SecretReference | None = Field(
        None, description="where its SQLAlchemy URL is; default: a file in the state directory"
    )
    refresh_seconds: int = Field(300, ge=1, le=86_400, description="age of groups at most")
    outage_grace_seconds: int = Field(
        3_600, ge=0, le=86_400, description="how long a silent provider's people stay signed in"
    )

    @property
    def groups_managed(self) -> bool:
        """Whether the hub's groups are the providers' (and its own group pages are off)."""
        if self.manage_groups is None:
            return self.pam is not None or any(p.gives_groups for p in self.providers.values())
        return self.manage_groups

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if self.local_password is not None and self.pam is not None:
            raise ValueError(
                "`local_password` and `pam` both ask for a name and a password: remove one of them"
            )
        return self

    @model_validator(mode="after")
    def _groups(self) -> Self:
        methods: dict[str, Any] = {f"providers.{n}": p for n, p in self.providers.items()}
        methods |= {"pam": self.pam} if self.pam else {}
        for path, method in methods.items():
            if method.named_groups and not self.groups_managed:
                raise ValueError(
                    f"`manage_groups` is false, but `{path}` names groups: nobody would have any"
                )
        prefixes: dict[str, str] = {}
        for name, provider in self.providers.items():
            if provider.gives_groups and self.groups_managed:
                other = prefixes.setdefault(provider.group_prefix, name)
                if other != name:
                    raise ValueError(
                        f"providers {other} and {name} give groups of the same names: "
                        "set `group_prefix` of one of them, or its `groups_claim` to null"
                    )
        return self
