"""What the authenticator is made of: the settings and the machine they hold on. No secret."""

from dataclasses import dataclass
from pathlib import Path

from mlhub.authentication_settings import AuthenticationSettings
from mlhub.authenticator.rules import HouseRules
from mlhub.authenticator.secrets_kept import read_secret

IDENTITIES = "identities.sqlite"
PASSWORD = "sign-in-password"  # noqa: S105 - the name of a file


@dataclass(frozen=True, slots=True)
class Plan:
    """One hub's sign-in.

    Attributes:
        settings: the `authentication:` section.
        house: what holds for every method.
        state_dir: the hub's private directory.
    """

    settings: AuthenticationSettings
    house: HouseRules
    state_dir: Path

    @property
    def password_file(self) -> Path:
        """Where the local password is."""
        local = self.settings.local_password
        return (local and local.password_file) or self.state_dir / PASSWORD

    def identity_url(self) -> str:
        """Gives SQLAlchemy's address of the identity book.

        Raises:
            BadInput: the settings name a secret that cannot be read.
        """
        if self.settings.identity_database is None:
            return f"sqlite:///{self.state_dir / IDENTITIES}"
        return read_secret(
            self.settings.identity_database, "authentication.identity_database", shortest=1
        )
