"""Writes the parts of the reference that are made from the program: settings and commands."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import typer

from mlhub.cli import build
from mlhub.configuration.schema import json_schema, schema_text

REFERENCE = Path(__file__).resolve().parent.parent / "docs" / "reference"
SCHEMA = REFERENCE / "mlhub.schema.json"
BETWEEN = "<!-- from here to the end mark: made by `make docs` -->\n{}<!-- end -->"
FIND = re.compile(re.escape(BETWEEN).replace(r"\{\}", ".*?"), re.DOTALL)

Node = dict[str, Any]
Row = tuple[str, ...]
WORDS = {
    "string": "text",
    "integer": "number",
    "boolean": "`true`, `false`",
    "object": "section",
    "array": "list",
}


def table(head: Row, rows: Iterable[Row]) -> str:
    """Writes a table of Markdown."""
    lines = [head, tuple("---" for _ in head), *rows]
    cells = ([cell.replace("|", "\\|").replace("\n", " ") for cell in line] for line in lines)
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)


# --- settings


class Settings:
    """The sections of mlhub.yaml, as its JSON Schema has them.

    Attributes:
        parts: The schema of each section, by its name in the schema.
        places: Where in mlhub.yaml each of them may stand, in the order of the file.
    """

    def __init__(self, schema: Node) -> None:
        self.parts: dict[str, Node] = schema["$defs"]
        self.places: dict[str, list[str]] = {}
        for key, rule in schema["properties"].items():
            self._find(rule, key)

    def _find(self, rule: Node, path: str) -> None:
        for name, place in self._references(rule, path):
            if "properties" not in self.parts[name]:
                continue
            known = self.places.setdefault(name, [])
            if place in known:
                continue
            known.append(place)
            for key, inner in self.parts[name]["properties"].items():
                self._find(inner, f"{place}.{key}")

    def _references(self, rule: Node, path: str) -> Iterator[tuple[str, str]]:
        if "$ref" in rule:
            yield rule["$ref"].rpartition("/")[2], path
        for inner in (*rule.get("anyOf", ()), *rule.get("oneOf", ()), *rule.get("allOf", ())):
            yield from self._references(inner, path)
        if isinstance(rule.get("items"), dict):
            yield from self._references(rule["items"], f"{path}[]")
        if (inner := by_name(rule)) is not None:
            yield from self._references(inner, f"{path}.NAME")

    def kind(self, rule: Node) -> str:
        """Says in a few words what a value looks like."""
        if "$ref" in rule:
            part = self.parts[rule["$ref"].rpartition("/")[2]]
            return choice(part["enum"]) if "enum" in part else "section"
        for several in ("anyOf", "oneOf"):
            if several in rule:
                kinds = [self.kind(inner) for inner in rule[several]]
                return " or ".join(dict.fromkeys(k for k in kinds if k != "null"))
        return self._plain(rule)

    def _plain(self, rule: Node) -> str:
        kind, inner = rule.get("type"), by_name(rule)
        looks = (
            (
                "enum" in rule or "const" in rule,
                lambda: choice(rule.get("enum", [rule.get("const")])),
            ),
            ("8h" in rule.get("examples", ()), lambda: "duration"),
            ("80 GiB" in rule.get("examples", ()), lambda: "memory"),
            ("items" in rule, lambda: f"list of {self.kind(rule['items'])}"),
            (inner is not None, lambda: f"by name: {self.kind(inner or {})}"),
            (rule.get("format") == "path", lambda: "path"),
        )
        found = next((words() for there, words in looks if there), None)
        return found or (WORDS.get(kind, kind) if isinstance(kind, str) else "number")

    def rows(self, part: Node, keys: Iterable[str]) -> Iterator[Row]:
        """The lines of a table of settings."""
        for key in keys:
            rule = part["properties"][key]
            needed = key in part.get("required", ())
            yield (
                f"`{key}`", self.kind(rule),
                "required" if needed else default(rule), rule.get("description", ""),
            )  # fmt: skip

    def text(self) -> str:
        """Every section with its table."""
        chunks = []
        for group in self._groups():
            shared = [k for k in self.parts[group[0]]["properties"] if self._in_all(k, group)]
            place = self.places[group[0]]
            if len(group) > 1:
                chunks.append(self._chunk(place, "Every provider.", self.parts[group[0]], shared))
            for name in group:
                part = self.parts[name]
                own = [k for k in part["properties"] if len(group) == 1 or k not in shared]
                chunks.append(self._chunk(place, part["description"], part, own))
        return "\n".join(chunks)

    def _groups(self) -> list[list[str]]:
        """The sections, those together that stand at one place."""
        groups: dict[str, list[str]] = {}
        for name, places in self.places.items():
            groups.setdefault(places[0], []).append(name)
        return list(groups.values())

    def _in_all(self, key: str, group: list[str]) -> bool:
        rules = [self.parts[name]["properties"].get(key) for name in group]
        return all(rule == rules[0] for rule in rules)

    def _chunk(self, places: list[str], about: str, part: Node, keys: list[str]) -> str:
        place, *others = places
        depth = "##" if "." not in place else "###"
        also = f" Also as {', '.join(f'`{other}`' for other in others)}." if others else ""
        lines = table(("key", "value", "default", "meaning"), self.rows(part, keys))
        kind = part["properties"].get("type", {}).get("const") if "type" in keys else None
        title = f"{place}, of type {kind}" if kind else place
        return f"{depth} {title}\n\n{tidy(about)}{also}\n\n{lines}"


def by_name(rule: Node) -> Node | None:
    """The shape of the values where the names are free; None where they are not."""
    shapes = [rule.get("additionalProperties"), *rule.get("patternProperties", {}).values()]
    return next((shape for shape in shapes if isinstance(shape, dict)), None)


def choice(values: Iterable[Any]) -> str:
    """Lists the values that are allowed."""
    return ", ".join(f"`{value}`" for value in values)


def default(rule: Node) -> str:
    """Writes a default; nothing where none is told."""
    value = rule.get("default")
    if value in (None, "", [], {}) or isinstance(value, dict):
        return ""
    if isinstance(value, list):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def tidy(text: str) -> str:
    """Puts a docstring on one line."""
    return " ".join(text.replace("``", "`").split())


def settings_text() -> str:
    """The generated part of the page about mlhub.yaml."""
    return "\n" + Settings(json_schema()).text() + "\n"


# --- commands


def commands(group: Any, path: str = "mlhub") -> Iterator[tuple[str, Any]]:
    """Finds every command that does something, with the words that call it."""
    inner = getattr(group, "commands", None)
    if inner is None:
        yield path, group
        return
    for name, command in inner.items():
        yield from commands(command, f"{path} {name}")


def command_text(words: str, command: Any) -> str:
    """Describes one command."""
    given = [p for p in command.params if p.param_type_name == "argument"]
    shown = (p.name.upper() if p.required else f"[{p.name.upper()}]" for p in given)
    usage = " ".join([words, *shown])
    options = [p for p in command.params if p.param_type_name == "option"]
    rows = [(", ".join(f"`{o}`" for o in p.opts), meaning(p)) for p in options if p.name != "help"]
    text = f"### `{usage}`\n\n{tidy(command.help or '')}\n"
    return f"{text}\n{table(('option', 'meaning'), rows)}" if rows else text


def meaning(option: Any) -> str:
    """Says what an option does, and what it is without it."""
    words = [tidy(option.help or "")]
    kind = option.type_descriptor.annotation
    if isinstance(kind, type) and issubclass(kind, Enum):
        words.append(f"One of {choice(kind)}.")
    shown = option.show_default if isinstance(option.show_default, str) else option.default
    if shown not in (None, False, "", ()) and not callable(shown):
        words.append(f"Default: `{getattr(shown, 'value', shown)}`.")
    if option.envvar:
        words.append(f"Also by the environment variable `{option.envvar}`.")
    return " ".join(words)


def commands_text() -> str:
    """The generated part of the page about the command line."""
    found = commands(typer.main.get_command(build()))
    return "\n" + "\n".join(command_text(words, command) for words, command in found) + "\n"


# --- pages

PAGES = {"configuration.md": settings_text, "command-line.md": commands_text}


def renewed(name: str) -> str:
    """Gives a page as it should be; what a person wrote in it stays."""
    page = (REFERENCE / name).read_text()
    text = BETWEEN.format(PAGES[name]())
    page, count = FIND.subn(lambda _: text, page)
    if count != 1:
        raise SystemExit(f"{name} has {count} places for what is made, and needs one")
    return page


def main() -> int:
    """Entry point of `make docs`."""
    SCHEMA.write_text(schema_text())
    for name in PAGES:
        (REFERENCE / name).write_text(renewed(name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
