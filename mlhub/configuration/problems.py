"""What can be wrong with mlhub.yaml: a finding with its place and remedy, and the error of many."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from mlhub.core.errors import MlhubError

Path = tuple[str | int, ...]


class Severity(StrEnum):
    """How bad a finding is; only errors stop a start."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands in a file; both count from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with the document.

    Attributes:
        path: where in the document, such as ``("limits", "users", "ada", "devices")``.
        message: what is wrong, in the user's words; never the value of a secret.
        remedy: what to do instead; "" when the message says it already.
        place: where in the file; None when the document has no text of its own there.
        at_key: whether the key itself is wrong, not its value.
    """

    path: Path
    message: str
    remedy: str = ""
    severity: Severity = Severity.ERROR
    place: Place | None = None
    at_key: bool = False

    @property
    def where(self) -> str:
        """The path as people write it: ``profiles[2].profile_options.gpu``."""
        return show_path(self.path)

    def line(self, file: str) -> str:
        """One line, with the place first, as editors and compilers have it."""
        at = f"{file}:{self.place.line}:{self.place.column}" if self.place else file
        path = f"{self.where}: " if self.path else ""
        kind = "warning: " if self.severity is Severity.WARNING else ""
        return f"{at}: {kind}{path}{self.message}" + (f" {self.remedy}" if self.remedy else "")


class ConfigurationError(MlhubError):
    """mlhub.yaml cannot be used.

    Attributes:
        file: the file's name as it was given.
        problems: every finding, warnings too, in the order of the file.
    """

    def __init__(self, file: str, problems: Iterable[Problem]) -> None:
        self.file = file
        self.problems = tuple(problems)
        super().__init__("\n".join(problem.line(file) for problem in self.problems))


def show_path(path: Path) -> str:
    """``("profiles", 2, "slug")`` as ``profiles[2].slug``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text
