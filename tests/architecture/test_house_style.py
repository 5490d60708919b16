"""The rules of the house that a program can check: sizes, names, clocks, docstrings."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(
    path
    for package in ("mlhub", "hub_services")
    for path in (ROOT / package).rglob("*.py")
    if "node_modules" not in path.parts
)
LONGEST_BODY = 50
USUAL_BODY = 25
LONGEST_MODULE = 500
CLOCK = ROOT / "mlhub" / "adapters" / "clock.py"
CLOCK_READERS = {
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("datetime", "today"),
    ("date", "today"),
    ("time", "time"),
    ("time", "time_ns"),
}
NAMES_OF_NOTHING = {"utils", "util", "helpers", "helper", "common", "misc", "tools", "stuff"}
PUT_OFF = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|\bin production\b", re.IGNORECASE)

Function = ast.FunctionDef | ast.AsyncFunctionDef

each_source = pytest.mark.parametrize(
    "path", SOURCES, ids=[str(path.relative_to(ROOT)) for path in SOURCES]
)


def functions_in(path: Path) -> Iterator[Function]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, Function):
            yield node


def body_length(function: Function) -> int:
    """Lines from the first statement after the docstring to the last one."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


@each_source
def test_a_module_says_in_its_first_line_what_belongs_in_it(path: Path):
    text = ast.get_docstring(ast.parse(path.read_text()))
    assert text, "it has no docstring"
    assert len(text.splitlines()[0]) >= 15, "its first line says too little"


@each_source
def test_a_module_fits_in_one_head(path: Path):
    assert len(path.read_text().splitlines()) <= LONGEST_MODULE


@each_source
def test_a_function_fits_on_one_screen(path: Path):
    long = {f.name: body_length(f) for f in functions_in(path) if body_length(f) > LONGEST_BODY}
    assert not long


def test_nine_functions_in_ten_are_short():
    lengths = [body_length(f) for path in SOURCES for f in functions_in(path)]
    short = sum(1 for length in lengths if length < USUAL_BODY)
    assert short >= 0.9 * len(lengths), f"{short} of {len(lengths)}"


@each_source
def test_only_the_clock_module_reads_the_clock(path: Path):
    if path == CLOCK:
        return
    readers = [
        f"line {node.lineno}: {node.value.id}.{node.attr}"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and (node.value.id, node.attr) in CLOCK_READERS
    ]
    assert not readers


@each_source
def test_product_code_asserts_nothing(path: Path):
    lines = [n.lineno for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Assert)]
    assert not lines, "python -O removes them: raise an error that says what is wrong"


@each_source
def test_no_module_is_called_after_nothing(path: Path):
    names = {path.stem, *path.relative_to(ROOT).parent.parts}
    assert not names & NAMES_OF_NOTHING


@each_source
def test_nothing_is_put_off(path: Path):
    lines = path.read_text().splitlines()
    found = [f"{n}: {line.strip()}" for n, line in enumerate(lines, 1) if PUT_OFF.search(line)]
    assert not found


def test_the_rules_are_applied_to_the_whole_product():
    packages = {p.relative_to(ROOT).parts[0] for p in SOURCES}
    assert packages == {"mlhub", "hub_services"}
    assert len(SOURCES) > 20


def catches_all(handler: ast.ExceptHandler) -> bool:
    """Whether it takes every error there is."""
    caught = handler.type
    names = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(
        name is None or (isinstance(name, ast.Name) and name.id in {"Exception", "BaseException"})
        for name in names
    )


def is_told(handler: ast.ExceptHandler) -> bool:
    """Whether it is logged, raised again or handed on."""
    inside = itertools.chain.from_iterable(ast.walk(line) for line in handler.body)
    return any(
        isinstance(node, ast.Raise)
        or (isinstance(node, ast.Name) and node.id == handler.name)
        or (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in {"exception", "error", "warning"}
        )
        for node in inside
    )


@each_source
def test_an_error_that_nobody_expected_is_logged_raised_again_or_handed_on(path: Path):
    swallowed = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler) and catches_all(node) and not is_told(node)
    ]
    assert not swallowed
