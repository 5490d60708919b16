"""mlhub.yaml from a file to `Settings`, or to every problem that it has."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from mlhub.configuration import document as documents
from mlhub.configuration.document import Document
from mlhub.configuration.explaining import explain
from mlhub.configuration.problems import ConfigurationError, Problem, Severity
from mlhub.configuration.rules import contradictions
from mlhub.configuration.settings import Settings

FILE_NAME = "mlhub.yaml"


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of reading a file.

    Attributes:
        file: its name, as it was given.
        settings: None when there are errors.
        problems: in the order of the file, warnings too.
    """

    file: str
    settings: Settings | None
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that stop a start."""
        return tuple(row for row in self.problems if row.severity is Severity.ERROR)


def load(path: Path | str | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings in a file.

    Args:
        path: the file; default: `MLHUB_CONFIG`, else `mlhub.yaml` in `MLHUB_HOME`.
        environ: the environment; default: this process's.

    Raises:
        ConfigurationError: it cannot be read, or something in it is wrong; it says all of it.
    """
    checked = check(path or configured_path(os.environ if environ is None else environ))
    if checked.settings is None:
        raise ConfigurationError(checked.file, checked.problems)
    return checked.settings


def configured_path(environ: Mapping[str, str]) -> Path:
    """The file that the environment names.

    Raises:
        ConfigurationError: it names none.
    """
    if environ.get("MLHUB_CONFIG"):
        return Path(environ["MLHUB_CONFIG"]).expanduser()
    if environ.get("MLHUB_HOME"):
        return Path(environ["MLHUB_HOME"]).expanduser() / FILE_NAME
    text = "Neither MLHUB_CONFIG nor MLHUB_HOME is set."
    raise ConfigurationError(FILE_NAME, [Problem((), text, "Name the file in MLHUB_CONFIG.")])


def check(path: Path | str) -> Checked:
    """Everything that is wrong with a file; never raises for what is in it."""
    name, file = str(path), Path(path).expanduser()
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return Checked(name, None, (Problem((), "The file is not UTF-8 text."),))
    except OSError as error:
        why = f"The file cannot be read: {error.strerror}."
        return Checked(name, None, (Problem((), why, "`mlhub up` writes one to begin with."),))
    return check_text(text, name=name, directory=file.absolute().parent)


def check_text(text: str, *, name: str, directory: Path) -> Checked:
    """Everything that is wrong with a text.

    Args:
        text: the content of an mlhub.yaml.
        name: what the file is called in messages.
        directory: what relative paths in it count from.
    """
    document = documents.read(text)
    problems = list(document.problems)
    settings = None
    if isinstance(document.data, dict):
        try:
            context = {"directory": directory}
            settings = Settings.model_validate(document.data, context=context)
        except ValidationError as error:
            problems += explain(error, document.data)
        problems += contradictions(document.data)
    else:
        problems.append(Problem((), "The file must be a section: `key: value` lines."))
    placed = _in_order(problems, document)
    failed = any(row.severity is Severity.ERROR for row in placed)
    return Checked(name, None if failed else settings, placed)


def _in_order(problems: Iterable[Problem], document: Document) -> tuple[Problem, ...]:
    placed = [row if row.place else _placed(row, document) for row in problems]
    return tuple(sorted(placed, key=_position))


def _placed(problem: Problem, document: Document) -> Problem:
    return replace(problem, place=document.place(problem.path, key=problem.at_key))


def _position(problem: Problem) -> tuple[int, int]:
    return (problem.place.line, problem.place.column) if problem.place else (0, 0)
