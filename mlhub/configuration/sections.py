"""The small sections of mlhub.yaml: ledger, inventory, hub, mlflow, simulation."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from mlhub.configuration.values import FilePath, Section, Variable, spelled
from mlhub.core.health import Signs
from mlhub.parsing import in_our_words

PublicUrl = Annotated[
    str, *spelled(r"https?://[^\s/?#@]+/?", "write for example https://gpu.example.org")
]
SignVerdict = Literal["ignore", "warn", "sick"]
DRIVERS = ("sqlite:////", "postgresql+psycopg://", "postgresql://")


def _ledger_url(url: str) -> str:
    if not url.startswith(DRIVERS):
        facts = {
            "problem": "this is no address of a ledger",
            "remedy": "write sqlite:////path/to/file or postgresql+psycopg://user@host/database",
        }
        raise PydanticCustomError("bad_input", "{problem} ({remedy})", facts)
    if _has_password(url):
        facts = {
            "problem": "a password stands in the address",
            "remedy": "put the whole address into a file of mode 600 and name it by `url_file`",
        }
        raise PydanticCustomError("bad_input", "{problem} ({remedy})", facts)
    return url


def _has_password(url: str) -> bool:
    try:
        return bool(urlsplit(url).password) or "password=" in url.lower()
    except ValueError:
        return "@" in url


def _base_url(path: str) -> str:
    return f"/{path.strip('/')}/" if path.strip("/") else "/"


def _known_signs(verdicts: dict[str, Any]) -> dict[str, Any]:
    in_our_words(Signs, verdicts)
    return verdicts


class LedgerSettings(Section):
    """Where the ledger is kept; default: SQLite, `ledger.sqlite` in the home."""

    url: Annotated[str, AfterValidator(_ledger_url)] | None = Field(
        None, description="SQLAlchemy's form, without a password"
    )
    url_file: FilePath | None = Field(None, description="a file that holds the address alone")
    url_env: Variable | None = Field(None, description="the environment variable that holds it")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        given = [name for name in ("url", "url_file", "url_env") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"`{given[0]}` and `{given[1]}` both say where it is: remove one")
        return self


class InventorySettings(Section):
    """Where the devices come from."""

    source: Literal["auto", "nvml", "simulated", "none"] = Field(
        "auto", description="auto: NVML where there is a driver, else simulated"
    )
    simulated_file: FilePath | None = Field(
        None, description="what is simulated; default: 4 A100 80GB and 2 T4"
    )
    health: Annotated[dict[str, SignVerdict], AfterValidator(_known_signs)] = Field(
        {}, description="what signs of trouble mean, where it is not to be as in the table"
    )

    @model_validator(mode="after")
    def _file_is_used(self) -> Self:
        if self.simulated_file is not None and self.source in {"nvml", "none"}:
            raise ValueError(f"`simulated_file` is not read where `source` is {self.source}")
        return self


class HubSettings(Section):
    """How people reach the hub."""

    base_url: Annotated[str, *spelled(r"[A-Za-z0-9/_.~-]*", "write a path such as /gpu/")] = Field(
        "/", description="the path before everything"
    )
    public_url: PublicUrl | None = Field(
        None, description="scheme and host as people type them, behind a proxy of your own"
    )

    @property
    def prefix(self) -> str:
        """The base URL with a slash at both ends."""
        return _base_url(self.base_url)


class MlflowSettings(Section):
    """The team's MLflow server."""

    enabled: bool = Field(True, description="false: no MLflow at all")


class SimulationSettings(Section):
    """For trials and tests of mlhub itself."""

    clock_file: FilePath | None = Field(
        None, description="a file with the number of seconds that the clock is moved on"
    )
