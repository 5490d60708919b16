"""The file that says what is simulated: nodes, models, MIG devices, use, and what fails."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from mlhub.core.devices import MigProfile, Sharing
from mlhub.core.errors import BadInput
from mlhub.core.quantities import parse_memory

Memory = Annotated[int, BeforeValidator(parse_memory)]
LARGEST: Final = 1024 * 1024  # bytes of a file that people write by hand


def _profile(name: str) -> str:
    return MigProfile(name).name


class Part(BaseModel):
    """A part of the file; a word that is none of ours is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Use(Part):
    """How busy a device is while something holds it, in percent.

    Attributes:
        busy: the mean while it computes.
        period: seconds from one burst to the next.
        duty: the share of the period that it computes in.
    """

    busy: Annotated[float, Field(ge=0, le=100)] = 80
    period: Annotated[float, Field(gt=0)] = 600
    duty: Annotated[float, Field(ge=0, le=1)] = 0.6


class Gpus(Part):
    """Some GPUs of one model on one node.

    Attributes:
        mig: the MIG devices that each is divided into, such as ``[3g.40gb, 1g.10gb]``.
        sharing: with `shares` above 1, how one chip serves several leases.
    """

    model: Annotated[str, Field(min_length=1, max_length=100)]
    count: Annotated[int, Field(ge=0, le=1024)] = 1
    memory: Memory
    mig: tuple[Annotated[str, BeforeValidator(_profile)], ...] = ()
    sharing: Sharing = Sharing.NONE
    shares: Annotated[int, Field(ge=1, le=64)] = 1
    use: Use = Use()


class SimulatedNode(Part):
    """One machine."""

    name: Annotated[str, Field(min_length=1, max_length=253)] = ""
    labels: dict[str, str] = {}
    schedulable: bool = True
    trouble: str = ""
    gpus: tuple[Gpus, ...] = ()


class Failure(Part):
    """A device that fails.

    Attributes:
        device: its UUID, or ``node:index``; without a node the first one's.
    """

    device: str
    health: Literal["sick", "lost"] = "sick"
    trouble: str = "it reports errors (simulated)"


class Spec(Part):
    """All that is simulated.

    Attributes:
        vanish: devices that are not there at all, written as in `failures`.
        fail: if not empty, the driver does not answer, for this reason.
    """

    nodes: tuple[SimulatedNode, ...] = ()
    failures: tuple[Failure, ...] = ()
    vanish: tuple[str, ...] = ()
    fail: str = ""


DEFAULT: Final = Spec(
    nodes=(
        SimulatedNode(
            gpus=(
                Gpus(model="NVIDIA A100 80GB PCIe", count=4, memory=81920),
                Gpus(model="Tesla T4", count=2, memory=15360),
            )
        ),
    )
)
"""What is simulated where no file says otherwise."""


def read_spec(path: Path) -> Spec:
    """The content of a file.

    Raises:
        BadInput: it is not there, or something in it is wrong; the text says where.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise BadInput(str(path), "it is larger than 1 MiB", "name a file of simulated GPUs")
        content: Any = YAML(typ="safe", pure=True).load(path.read_text())
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise BadInput(str(path), f"it cannot be read: {error}", "correct the file") from error
    return _checked(path, content or {})


def _checked(path: Path, content: Any) -> Spec:
    try:
        return Spec.model_validate(content)
    except BadInput as error:
        raise BadInput(f"{path}: {error.field}", error.problem, error.remedy) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"]) or "the file"
        raise BadInput(f"{path}: {where}", str(first["msg"]), "correct the file") from error
