"""The form's words: the same from Python and from its script, and what the button says."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mlhub.client import FlavorView
from mlhub.core.decisions import Forecast
from mlhub.spawner import outlook
from mlhub.spawner.markup import plain, rich
from mlhub.spawner.picker import template
from mlhub.stack.node import node_directory

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
PLAIN = FlavorView(
    "a100", "A100 80 GB", total=4, free=1, held=3, kept=0, out_of_service=0, waiting=0,
    max_count=4, now=True, memory_mib=81920,
)  # fmt: skip
FULL = replace(PLAIN, free=0, held=4, now=False)


def soon(soonest: float, expected: float, latest: float) -> Forecast:
    minutes = (timedelta(minutes=number) for number in (soonest, expected, latest))
    return Forecast(*(NOW + span for span in minutes))


FLAVORS = [
    pytest.param(PLAIN, "1 of 4 free", "starts now", id="one free"),
    pytest.param(FULL, "0 of 4 free", "none free now", id="full, nothing known"),
    pytest.param(
        replace(FULL, waiting=2, expected=soon(5, 25, 40)),
        "0 of 4 free",
        "2 waiting, about 25 min, likely 5–40 min",
        id="full, with a queue",
    ),
    pytest.param(
        replace(FULL, expected=soon(50, 90, 1500)),
        "0 of 4 free",
        "about 1 h 30 min, likely 50 min to 1 d 1 h",
        id="a long wait",
    ),
    pytest.param(
        replace(FULL, expected=soon(-5, 0.4, 0.4)),
        "0 of 4 free",
        "less than a minute",
        id="any moment",
    ),
    pytest.param(
        replace(FULL, expected=soon(7, 7, 7)), "0 of 4 free", "about 7 min", id="well known"
    ),
    pytest.param(
        replace(PLAIN, total=7, free=4, held=2, kept=1, out_of_service=1),
        "3 of 7 free, 1 kept for the queue, 1 out of service",
        "starts now",
        id="every state",
    ),
    pytest.param(
        replace(FULL, total=2, held=0, out_of_service=2),
        "0 of 2 free, 2 out of service",
        "out of service",
        id="all out of service",
    ),
    pytest.param(
        replace(PLAIN, total=1000, free=50, held=850, kept=40, out_of_service=100),
        "10 of 1000 free, 40 kept for the queue, 100 out of service",
        "starts now",
        id="very many",
    ),
]


def script(text: str) -> Any:
    """What the form's script makes of it, in the Node.js that the stack brings."""
    source = template().environment.loader.get_source(template().environment, "outlook.js")[0]
    command = [str(node_directory() / "bin" / "node"), "-e", f"{source}\n{text}"]
    found = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    return json.loads(found.stdout)


def as_json(flavor: FlavorView) -> dict[str, Any]:
    found = {name: getattr(flavor, name) for name in flavor.__slots__}
    if flavor.expected:
        names = ("soonest", "expected", "latest")
        found["expected"] = {name: getattr(flavor.expected, name).isoformat() for name in names}
    return found


@pytest.mark.parametrize(("flavor", "free", "wait"), FLAVORS)
def test_a_card_says_the_same_before_and_after_its_script_has_run(
    flavor: FlavorView, free: str, wait: str
) -> None:
    here = [outlook.free_text(flavor), outlook.wait_text(flavor, NOW), outlook.cells(flavor)]
    call = f"const f = {json.dumps(as_json(flavor))}, now = {json.dumps(NOW.isoformat())};"
    words = "[mlhubWords.freeText(f), mlhubWords.waitText(f, now), mlhubWords.cells(f)]"
    there = script(f"{call} console.log(JSON.stringify({words}))")
    assert here[:2] == [free, wait]
    assert there == here


def test_there_are_as_many_cells_as_devices_and_never_more_than_twelve() -> None:
    assert outlook.cells(PLAIN) == ["held", "held", "held", "free"]
    many = replace(PLAIN, total=1000, free=1, held=999)
    assert outlook.cells(many) == ["held"] * 11 + ["free"]


NOBODY = {"devices": None, "memory_mib": None, "servers": None, "flavors": None, "duration_s": None}
HELD = {"server": "train", "granted_at": NOW.isoformat()}


def me(limits: dict[str, Any], devices: int = 0) -> dict[str, Any]:
    use = {"devices": devices, "memory_mib": 81920 * devices, "servers": min(devices, 1)}
    return {"limits": NOBODY | limits, "use": use, "leases": [HELD] if devices else []}


@pytest.mark.parametrize(
    ("ask", "flavor", "mine", "said"),
    [
        pytest.param(None, FULL, None, {"label": "Start"}, id="no GPU"),
        pytest.param(["a100", 1], PLAIN, None, {"label": "Start"}, id="one is free"),
        pytest.param(
            ["a100", 1],
            replace(FULL, waiting=1, expected=soon(5, 25, 40)),
            None,
            {"label": "Join the queue: 2nd, about 25 min", "wait": True},
            id="a queue",
        ),
        pytest.param(
            ["a100", 2], PLAIN, None, {"label": "Join the queue: 1st", "wait": True}, id="too few"
        ),
        pytest.param(
            ["a100", 8], PLAIN, None, {"off": True, "reason": "at most 4"}, id="never so many"
        ),
        pytest.param(["t4", 1], PLAIN, None, {"off": True, "reason": "no such GPU"}, id="not here"),
        pytest.param(
            "two kinds", PLAIN, None, {"off": True, "reason": "two kinds"}, id="impossible"
        ),
        pytest.param(
            ["a100", 1],
            replace(PLAIN, allowed=False, why_not="Not for you."),
            None,
            {"off": True, "reason": "Not for you."},
            id="not allowed",
        ),
        pytest.param(
            ["a100", 1],
            PLAIN,
            me({"devices": 2}, devices=2),
            {"off": True, "reason": "Your limit is 2 GPUs; you hold 2: server 'train', since"},
            id="over the limit",
        ),
        pytest.param(
            ["a100", 2],
            PLAIN,
            me({"memory_mib": 81920}),
            {"off": True, "reason": "Your limit is 80 GiB of GPU memory; you hold 0 GiB"},
            id="over the memory limit",
        ),
        pytest.param(
            ["a100", 1],
            PLAIN,
            me({"duration_s": 3600}),
            {"off": True, "reason": "The longest you may ask for is 1 h."},
            id="too long",
        ),
        pytest.param(
            ["a100", 1], PLAIN, me({"devices": 2}, devices=1), {"label": "Start"}, id="just within"
        ),
    ],
)
def test_the_button_says_what_will_happen(
    ask: Any, flavor: FlavorView, mine: Any, said: dict[str, Any]
) -> None:
    words = [ask, [as_json(flavor)], mine, NOW.isoformat(), 7200]
    next_ = script(f"console.log(JSON.stringify(mlhubWords.outlook(...{json.dumps(words)})))")
    reason = said.pop("reason", "")
    assert reason in next_.get("reason", "")
    assert said.items() <= next_.items()
    assert bool(next_.get("off")) is bool(said.get("off"))


@pytest.mark.parametrize(
    ("text", "html", "words"),
    [
        pytest.param("<b>Py</b>Torch", "<b>Py</b>Torch", "PyTorch", id="harmless tags stay"),
        pytest.param("a <b>b", "a <b>b</b>", "a b", id="what is open is closed"),
        pytest.param("1 < 2 & 3", "1 &lt; 2 &amp; 3", "1 < 2 & 3", id="signs are signs"),
        pytest.param("&amp;&lt;", "&amp;&lt;", "&<", id="entities are signs"),
        pytest.param(
            "<script>alert(1)</script>", "alert(1)", "alert(1)", id="a script is only text"
        ),
        pytest.param(
            '<img src=x onerror="alert(1)"><b onclick="x()">y</b>',
            "<b>y</b>",
            "y",
            id="no handlers",
        ),
        pytest.param(
            '<a href="javascript:alert(1)">x</a>', "x", "x", id="links that run are no links"
        ),
        pytest.param(
            '<a href="//evil.example">x</a>', "x", "x", id="nor those that hide the scheme"
        ),
        pytest.param(
            '<a href="https://x.example/?a=1&b=\'">x</a>',
            '<a href="https://x.example/?a=1&amp;b=&#x27;" rel="noopener">x</a>',
            "x",
            id="other links stay",
        ),
        pytest.param("one<br>two", "one<br>two", "one two", id="line breaks"),
        pytest.param("</b></label>x", "x", "x", id="nothing of ours is closed"),
    ],
)
def test_names_in_a_profile_list_are_shown_without_danger(text: str, html: str, words: str) -> None:
    assert rich(text) == html
    assert plain(text) == words
