"""The file that says what is simulated: nodes, models, MIG devices, use, and what fails."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from mlhub.core.devices import MigProfile, Sharing
from mlhub.core.errors import BadInput
from mlhub.core.quantities import parse_duration, parse_memory, plural
from mlhub.parsing import as_text, in_our_words

LARGEST: Final = 1024 * 1024  # bytes of a file that people write by hand
SLICES: Final = 7  # compute slices that a chip in MIG mode deals out
MANUAL: Final = "docs/how-to/simulated-gpus.md says how it is written"


def _parsed(parse: Callable[[Any], Any]) -> BeforeValidator:
    """A parser of `core`, whose refusal pydantic reports with the place in the file."""

    return BeforeValidator(lambda value: in_our_words(parse, value))


def _span(value: Any) -> timedelta:
    return value if isinstance(value, timedelta) else parse_duration(as_text(value))


Memory = Annotated[int, _parsed(lambda value: parse_memory(as_text(value)))]
Duration = Annotated[timedelta, _parsed(_span)]
Profile = Annotated[str, _parsed(lambda name: MigProfile(str(name)).name)]
Name = Annotated[str, Field(min_length=1, max_length=253)]
Percent = Annotated[float, Field(ge=0, le=100)]


class Part(BaseModel):
    """A part of the file; a word that is none of ours is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Point(Part):
    """How busy a device is at a time, counted from the start of the lease's process.

    Attributes:
        at: for example ``90s``.
        utilisation: percent of the time.
        memory: percent of the device's memory.
    """

    at: Duration
    utilisation: Percent
    memory: Percent


class Use(Part):
    """How busy a device is while a process has it, in straight lines from point to point.

    Attributes:
        points: in order of time; before the first and after the last it stays as it is there.
        repeat: to begin again after the last point.
        noise: percent points by which the utilisation goes up and down.
    """

    points: Annotated[tuple[Point, ...], Field(min_length=1)] = (
        Point(at=timedelta(0), utilisation=0, memory=0),
        Point(at=timedelta(seconds=20), utilisation=85, memory=40),
    )
    repeat: bool = False
    noise: Percent = 5

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        times = [point.at for point in self.points]
        if sorted(set(times)) != times:
            raise ValueError("the points must be in order of time, no two at the same")
        if self.repeat and not times[-1]:
            raise ValueError("what repeats needs a point later than 0s")
        return self


class Gpus(Part):
    """Some GPUs of one model on one node.

    Attributes:
        mig: the MIG devices that each is divided into, such as ``[3g.40gb, 1g.10gb]``.
        sharing: how one chip serves as many leases as `shares` says.
    """

    model: Name
    memory: Memory
    count: Annotated[int, Field(ge=0, le=1024)] = 1
    mig: tuple[Profile, ...] = ()
    sharing: Sharing = Sharing.NONE
    shares: Annotated[int, Field(ge=1, le=64)] = 1
    use: Use = Use()

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if (self.sharing is Sharing.NONE) != (self.shares == 1):
            raise ValueError("`sharing` and `shares` above 1 go together")
        taken = sum(MigProfile(name).slices for name in self.mig)
        if taken > SLICES:
            raise ValueError(f"`mig` takes {taken} compute slices; a GPU has {SLICES}")
        return self


class SimulatedNode(Part):
    """One machine; without a name it is the one that mlhub runs on."""

    name: Annotated[str, Field(max_length=253)] = ""
    labels: dict[str, str] = {}
    schedulable: bool = True
    trouble: str = ""
    gpus: tuple[Gpus, ...] = ()


class Failure(Part):
    """A device that fails.

    Attributes:
        device: its UUID or its number on the first node, or ``node:number``. The number of a
            divided GPU means all of its MIG devices.
    """

    device: str | int
    health: Literal["sick", "lost"] = "sick"
    trouble: Name = "it reports errors (simulated)"


class Spec(Part):
    """All that is simulated.

    Attributes:
        seed: another one gives other UUIDs and another noise.
        vanish: devices that are not there, named as in `failures`.
        fail: if not empty, the driver does not answer, for this reason.
    """

    seed: int = 0
    nodes: tuple[SimulatedNode, ...] = ()
    failures: tuple[Failure, ...] = ()
    vanish: tuple[str | int, ...] = ()
    fail: str = ""

    @model_validator(mode="after")
    def _nodes_differ(self) -> Self:
        names = [node.name for node in self.nodes]
        if len(set(names)) < len(names):
            raise ValueError("two nodes have the same name")
        return self


DEFAULT: Final = Spec(
    nodes=(
        SimulatedNode(
            gpus=(
                Gpus(model="NVIDIA A100 80GB PCIe", memory=81920, count=4),
                Gpus(model="Tesla T4", memory=15360, count=2),
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
    content = _content(path)
    if not isinstance(content, dict):
        raise BadInput(str(path), "it lists no GPUs", MANUAL)
    try:
        return Spec.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        problem = str(first["msg"]).removeprefix("Value error, ")
        more = error.error_count() - 1
        also = f"; and {plural(more, 'more mistake')}" if more else ""
        raise BadInput(f"{path}: {_place(first['loc'])}", problem + also, MANUAL) from error


def _content(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST + 1)
        if len(text) > LARGEST:
            raise BadInput(str(path), "it is larger than 1 MiB", "name a file of simulated GPUs")
        return YAML(typ="safe", pure=True).load(text.decode())
    except OSError as error:
        why = error.strerror or str(error)
        raise BadInput(str(path), f"it cannot be read: {why}", "correct its name") from error
    except MarkedYAMLError as error:
        line = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise BadInput(str(path), f"it is no YAML{line}: {error.problem}", MANUAL) from error
    except (UnicodeDecodeError, YAMLError) as error:
        raise BadInput(str(path), "it is no text in YAML", MANUAL) from error


def _place(steps: tuple[int | str, ...]) -> str:
    """``nodes[0].gpus[1].count``."""
    return "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in steps).strip(".") or "all"
