"""The providers of the `authentication:` section: GitHub, Google, any OpenID provider.

What every section shares is here too. Values and their contradictions only.
"""

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

UserName = Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9._-]{0,31}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=255, strip_whitespace=True)]
Domain = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)+$", to_lower=True, max_length=253)
]

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


def _web_address(address: str) -> str:
    parts = urlsplit(address)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.fragment:
        raise ValueError(f"{address!r} is no web address")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a name or a password has no place in an address")
    return address


def _private_address(address: str) -> str:
    parts = urlsplit(_web_address(address))
    if parts.scheme != "https" and parts.hostname not in LOOPBACK_NAMES:
        raise ValueError(f"{address}: use https:// (http:// is for a provider on this machine)")
    return address


WebAddress = Annotated[Text, AfterValidator(_web_address)]
PrivateAddress = Annotated[Text, AfterValidator(_private_address)]


class Section(BaseModel):
    """What every section shares: unknown keys are errors and values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SecretReference(Section):
    """Where a secret is kept; the secret itself is never written in the file."""

    file: Path | None = Field(None, description="a file of mode 600 that holds the secret alone")
    env: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = Field(
        None, description="the name of an environment variable of the hub"
    )

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.file is None) == (self.env is None):
            raise ValueError("give exactly one of `file` and `env`")
        return self


class AccessSettings(Section):
    """Who of the people that a method knows may use this hub; nobody unless said here."""

    allow_all: bool = Field(False, description="everybody whom the method knows")
    allowed_users: frozenset[Text] = Field(frozenset(), description="by user name")
    allowed_groups: frozenset[Text] = Field(frozenset(), description="by group name")
    blocked_users: frozenset[Text] = Field(frozenset(), description="never, whatever else is set")
    admin_users: frozenset[Text] = Field(frozenset(), description="allowed, and administrators")
    admin_groups: frozenset[Text] = Field(frozenset(), description="allowed, and administrators")

    @model_validator(mode="after")
    def _no_contradiction(self) -> Self:
        if self.allow_all and (self.allowed_users or self.allowed_groups):
            given = "allowed_users" if self.allowed_users else "allowed_groups"
            raise ValueError(
                f"`allow_all` lets everybody in, so `{given}` restricts nobody: remove one of them"
            )
        if both := self.blocked_users & (self.allowed_users | self.admin_users):
            raise ValueError(f"`blocked_users` and an allowed list both name {sorted(both)[0]!r}")
        return self

    @property
    def named_groups(self) -> frozenset[str]:
        """The groups that a rule of this section depends on."""
        return self.allowed_groups | self.admin_groups

    @property
    def admits_somebody(self) -> bool:
        """Whether any rule lets anybody in."""
        return self.allow_all or bool(self.allowed_users | self.admin_users | self.named_groups)

    def require_somebody(self, method: str) -> None:
        """Refuses a method that nobody could use.

        Raises:
            ValueError: no rule lets anybody in.
        """
        if not self.admits_somebody:
            raise ValueError(
                f"nobody could sign in by {method}: "
                "set `allowed_users`, `allowed_groups`, `admin_users` or `allow_all`"
            )


class ProviderSettings(AccessSettings):
    """What every provider outside this machine shares."""

    label: Text | None = Field(None, description="the words on the button, after 'Sign in with'")
    client_id: Annotated[Text, Field(description="as the provider gave it")]
    client_secret: SecretReference = Field(description="as the provider gave it")
    callback_url: WebAddress | None = Field(
        None, description="default: the hub's public address + /hub/<provider>/oauth_callback"
    )
    ca_file: Path | None = Field(None, description="certificates of a private authority, PEM")
    group_prefix: Annotated[str, StringConstraints(max_length=64)] = Field(
        "", description="put before each group's name, so that two providers' groups stay apart"
    )
    accounts: dict[Text, UserName] = Field(
        default_factory=dict,
        description="user name by the provider's stable id; stands above every other rule of names",
    )
    names: dict[Text, UserName] = Field(
        default_factory=dict, description="user name by the login at the provider"
    )

    @model_validator(mode="after")
    def _somebody(self) -> Self:
        self.require_somebody("this provider")
        return self

    @property
    def gives_groups(self) -> bool:
        """Whether groups come from this provider."""
        return True


class GitHubSettings(ProviderSettings):
    """GitHub or GitHub Enterprise; groups are `organisation` and `organisation:team`."""

    type: Literal["github"] = Field(description="github")
    url: PrivateAddress = Field(
        "https://github.com", description="the address of a GitHub Enterprise server"
    )
    organizations: frozenset[Text] = Field(
        frozenset(), description="only these become groups: anybody may found one of any name"
    )

    @property
    def gives_groups(self) -> bool:
        """Whether groups come from this provider."""
        return bool(self.organizations)

    @model_validator(mode="after")
    def _groups_of_known_organizations(self) -> Self:
        if self.allow_all and self.organizations:
            raise ValueError(
                "`allow_all` lets every GitHub account in, members of `organizations` or not: "
                "replace it by `allowed_groups`"
            )
        known = {name.lower() for name in self.organizations}
        for group in sorted(self.named_groups):
            name = group.removeprefix(self.group_prefix)
            if name != name.lower():
                raise ValueError(f"write the group {name!r} in lower case, as GitHub compares it")
            if name.split(":")[0] not in known:
                raise ValueError(f"group {group!r} is of no organisation in `organizations`")
        return self


class GoogleDirectory(Section):
    """How to read the groups of one Google Workspace domain."""

    service_account_file: Path = Field(description="the service account's key, JSON, mode 600")
    administrator: Text = Field(description="the administrator to act as, without `@domain`")


class GoogleSettings(ProviderSettings):
    """Google accounts of the named Workspace domains, with a verified e-mail address."""

    type: Literal["google"] = Field(description="google")
    hosted_domains: frozenset[Domain] = Field(
        frozenset(), description="Google's `hd`; required: without it any Google account counts"
    )
    directory: dict[Domain, GoogleDirectory] = Field(
        default_factory=dict, description="needed for groups; one entry for each domain"
    )
    nested_groups: bool = Field(False, description="members of a group's groups count as its own")

    @property
    def gives_groups(self) -> bool:
        """Whether groups come from this provider."""
        return bool(self.directory)

    @model_validator(mode="after")
    def _domains(self) -> Self:
        if not self.hosted_domains:
            raise ValueError(
                "`hosted_domains` (Google's hd) is missing: name your Workspace domains"
            )
        if stray := set(self.directory) - self.hosted_domains:
            raise ValueError(f"`directory` has {sorted(stray)[0]}, `hosted_domains` has not")
        if self.named_groups and set(self.directory) != self.hosted_domains:
            raise ValueError("groups need `directory` with an entry for each hosted domain")
        return self


class OidcSettings(ProviderSettings):
    """Any OpenID Connect provider: found by its issuer, or by three explicit addresses."""

    type: Literal["oidc"] = Field(description="oidc")
    issuer: PrivateAddress | None = Field(
        None, description="as in its discovery document, which tells the three addresses"
    )
    authorize_url: PrivateAddress | None = Field(
        None, description="without `issuer`: where people sign in"
    )
    token_url: PrivateAddress | None = Field(
        None, description="without `issuer`: where the hub gets tokens"
    )
    userinfo_url: PrivateAddress | None = Field(
        None, description="without `issuer`: where the hub asks who they are"
    )
    scopes: tuple[Text, ...] = Field(
        ("openid", "profile", "email"), description="what is asked for"
    )
    username_claim: Text = Field(
        "preferred_username", description="what the user name is made from"
    )
    subject_claim: Text = Field("sub", description="the claim that never changes for a person")
    groups_claim: Text | None = Field(
        "groups", description="a claim, or a path with dots; null: no groups"
    )
    require_verified_email: bool | None = Field(
        None, description="default: true where the user name is the e-mail address"
    )

    @property
    def gives_groups(self) -> bool:
        """Whether groups come from this provider."""
        return self.groups_claim is not None

    @property
    def needs_verified_email(self) -> bool:
        """Whether an unverified e-mail address refuses the login."""
        if self.require_verified_email is None:
            return self.username_claim == "email"
        return self.require_verified_email

    @model_validator(mode="after")
    def _addresses(self) -> Self:
        explicit = (self.authorize_url, self.token_url, self.userinfo_url)
        if self.issuer is not None and any(explicit):
            raise ValueError("`issuer` finds the addresses by itself: remove it or the addresses")
        if self.issuer is None and not all(explicit):
            raise ValueError("give `issuer`, or all of authorize_url, token_url, userinfo_url")
        return self

    @model_validator(mode="after")
    def _claims(self) -> Self:
        if self.issuer is not None and "openid" not in self.scopes:
            raise ValueError("`scopes` must contain openid where `issuer` is set")
        if self.issuer is not None and self.subject_claim != "sub":
            raise ValueError("an OpenID provider's stable id is `sub`: remove `subject_claim`")
        if self.groups_claim is None and self.named_groups:
            raise ValueError("`groups_claim` is null, but a rule names groups")
        return self
