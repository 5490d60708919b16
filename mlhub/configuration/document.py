"""YAML text to plain data, with the line and column of every key and value in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from mlhub.configuration.problems import Path, Place, Problem

LONGEST: Final = 1_000_000  # characters: far more than any real file, and read in a second
MOST_NODES: Final = 50_000  # after aliases are followed: a few lines of them can make billions
MERGE_TAG: Final = "tag:yaml.org,2002:merge"


@dataclass(slots=True)
class Document:
    """A file's content and where each part of it stands.

    Attributes:
        data: mappings, lists and scalars; an empty mapping for an empty file.
        keys: where each mapping's key begins, by the path of its value.
        values: where each value begins, by its path.
        problems: what is wrong with it as YAML; then `data` may be incomplete.
    """

    data: Any = field(default_factory=dict)
    keys: dict[Path, Place] = field(default_factory=dict)
    values: dict[Path, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def place(self, path: Path, *, key: bool = False) -> Place | None:
        """Where a value (or its key) begins; for what is not there, where its parent does."""
        if path in self.values and not key:
            return self.values[path]
        for length in range(len(path), -1, -1):
            near = path[:length]
            if found := self.keys.get(near) or self.values.get(near):
                return found
        return None


def read(text: str) -> Document:
    """Plain data from YAML 1.2 text; what is wrong with the text is in the document's problems."""
    document = Document()
    if len(text) > LONGEST:
        document.problems.append(Problem((), "The file is longer than a million characters."))
        return document
    yaml = YAML(typ="safe", pure=True)
    try:
        node = yaml.compose(text)
        if node is not None:
            document.data = _Reader(document, yaml.constructor).value(node, ())
    except RecursionError:
        document.problems.append(Problem((), "The document is nested too deeply."))
    except YAMLError as error:
        document.problems.append(_syntax_problem(error))
    if document.data is None:
        document.data = {}
    return document


def _syntax_problem(error: YAMLError) -> Problem:
    if not isinstance(error, MarkedYAMLError):
        return Problem((), "The file has a character that YAML does not allow.")
    mark = error.problem_mark or error.context_mark
    place = Place(mark.line + 1, mark.column + 1) if mark else None
    message = error.problem or error.context or "This is not YAML."
    message = f"{message[:1].upper()}{message[1:200]}."
    remedy = ""
    if "'\\t'" in message:
        message, remedy = "A tab stands where YAML wants spaces.", "Indent with spaces."
    return Problem((), message, remedy, place=place)


class _Reader:
    """Follows the nodes of one document; keys are taken as they are written, values as typed."""

    def __init__(self, document: Document, constructor: Any) -> None:
        self.document = document
        self.constructor = constructor
        self.nodes = 0
        self.open: set[int] = set()

    def value(self, node: Node, path: Path) -> Any:
        self.document.values.setdefault(path, _place(node))
        self.nodes += 1
        if id(node) in self.open or self.nodes > MOST_NODES:
            why = "It refers to itself." if id(node) in self.open else "Its aliases never end."
            raise MarkedYAMLError(problem=why.rstrip("."), problem_mark=node.start_mark)
        self.open.add(id(node))
        try:
            return self._content(node, path)
        finally:
            self.open.discard(id(node))

    def _content(self, node: Node, path: Path) -> Any:
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self.value(item, (*path, i)) for i, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _scalar(self, node: Node, path: Path) -> Any:
        try:
            return self.constructor.construct_object(node)
        except (YAMLError, ValueError):
            self._problem(path, node, f"{str(node.value)[:40]!r} cannot be read", "Quote it.")
            return None

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: list[Node] = []
        for key, value in node.value:
            if key.tag == MERGE_TAG:
                merged.append(value)
            elif not isinstance(key, ScalarNode):
                self._problem(path, key, "a key must be a word", "Write `key: value`.")
            else:
                self._entry(found, key, value, path)
        for value in merged:
            self._merge(found, value, path)
        return found

    def _entry(self, found: dict[str, Any], key: ScalarNode, value: Node, path: Path) -> None:
        name = str(key.value)
        here = (*path, name)
        if name in found:
            first = self.document.keys[here].line
            text = f"this key is there twice, first in line {first}"
            self._problem(here, key, text, "Remove one of them.")
            return
        self.document.keys[here] = _place(key)
        found[name] = self.value(value, here)

    def _merge(self, found: dict[str, Any], value: Node, path: Path) -> None:
        sources = value.value if isinstance(value, SequenceNode) else [value]
        for source in sources:
            if not isinstance(source, MappingNode):
                self._problem(path, value, "`<<` takes mappings only", "Name an anchor of one.")
                continue
            for key, item in source.value:
                if isinstance(key, ScalarNode) and str(key.value) not in found:
                    self._entry(found, key, item, path)

    def _problem(self, path: Path, node: Node, message: str, remedy: str) -> None:
        text = f"{message[:1].upper()}{message[1:]}."
        self.document.problems.append(Problem(path, text, remedy, place=_place(node)))


def _place(node: Node) -> Place:
    return Place(node.start_mark.line + 1, node.start_mark.column + 1)
