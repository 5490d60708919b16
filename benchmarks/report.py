"""What benchmarks print, and the README's table of it: `python -m benchmarks.report FILE …`."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import sys
from pathlib import Path
from typing import Any, Final

from mlhub.adapters.clock import SystemClock

SENTENCES: Final = {
    "claims": (
        "1,000 claims at once on 100 GPUs: exactly 100 granted in {sqlite[exact_runs]} (SQLite) "
        "and {postgresql[exact_runs]} (PostgreSQL) of {runs} runs; {sqlite[per_second]:.0f} and "
        "{postgresql[per_second]:.0f} decisions a second with 64 clients, p99 "
        "{sqlite[p99_ms]:.0f} and {postgresql[p99_ms]:.0f} ms at 100 a second; a bare SQLite lock "
        "table: {lock_table_per_second:.0f} a second"
    ),
    "crash": "{kills} kill -9 of the service: {double} double grants, {lost} lost, {leaked} leaked",
    "lab": (
        "from the click on Start to a usable JupyterLab {ours_s:.1f} s with a GPU, "
        "{stock_s:.1f} s with the stock spawner: {ratio:.2f}x (medians of {rounds})"
    ),
    "picker": (
        "with 5,000 users and 200 leases the form's p95 is {p95_ratio:.2f}x that of JupyterHub's "
        "plain form in the same run ({plain_ms:.1f} ms), the refresh call's {refresh_ratio:.2f}x, "
        "an empty answer by the same way {floor_ratio:.2f}x"
    ),
    "soak": (
        "{hours:g} simulated hours, {asks} asks: {broken} broken invariants, {leaked} leaked "
        "leases, memory {memory_growth_percent:+.1f} %"
    ),
    "startup": (
        "to the sign-in page {first_s:.0f} s at the first start and {second_s:.1f} s at the "
        "second; {rss_mib} MiB"
    ),
}


def progress(text: str) -> None:
    """One line for whoever watches."""
    print(text, file=sys.stderr, flush=True)


def finish(figures: dict[str, Any]) -> None:
    """Print the figures, with what they were measured on, when and how, as the last line."""
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    date = f"{SystemClock().now():%Y-%m-%d}"
    measured = {"machine": machine, "date": date, "command": command()}
    print(json.dumps({**figures, **measured}), flush=True)


def command() -> str:
    """What somebody types to have the same figures."""
    name = Path(sys.argv[0]).stem
    words = f' ARGS="{shlex.join(sys.argv[1:])}"' if sys.argv[1:] else ""
    return f"make soak{words}" if name == "soak" else f"make bench NAME={name}{words}"


def percentile(values: list[float], share: float) -> float:
    """The value below which that share of the values lies (nearest rank)."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, max(0, round(share * len(ranked)) - 1))]


def table(results: list[dict[str, Any]]) -> str:
    """The README's table of some results, each with its command, machine and date."""
    rows = ["| command | figure | measured |", "|---|---|---|"]
    for row in results:
        said = SENTENCES[_name(row["command"])].format(**row)
        rows.append(f"| `{row['command']}` | {said} | {row['machine']}, {row['date']} |")
    return "\n".join(rows)


def _name(made_by: str) -> str:
    first, second = made_by.split()[1:3] if "NAME=" in made_by else ("soak", "")
    return second.removeprefix("NAME=") or first


def main() -> None:
    """Print the table of what benchmarks have printed into files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, help="each the output of one benchmark")
    files = parser.parse_args().files
    print(table([json.loads(file.read_text().strip().splitlines()[-1]) for file in files]))


if __name__ == "__main__":
    main()
