"""Tables for people: columns, times and waits in words, the mark of what is simulated."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Final

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from mlhub.adapters.clock import SystemClock
from mlhub.cli import screen
from mlhub.core.decisions import Forecast
from mlhub.core.quantities import format_duration, format_outlook

WIDE: Final = 400  # columns where nobody looks at a screen: a pipe's reader wants whole words
SIMULATED: Final = "These GPUs are simulated: no work is really done on them."


def now() -> datetime:
    """The wall clock: aware, UTC."""
    return SystemClock().now()


class Sheet(Table):
    """A table that gives up its empty columns first where the screen is too narrow for all."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draws it."""
        wide = Measurement.get(console, options.update(max_width=WIDE), self).maximum
        if wide > options.max_width:
            self.columns = [column for column in self.columns if any(column.cells)]
        yield from super().__rich_console__(console, options)


def table(*columns: str, right: tuple[str, ...] = (), whole: tuple[str, ...] = ()) -> Table:
    """An empty table.

    Args:
        columns: The headings.
        right: Those columns hold numbers.
        whole: What stands in those is typed into other commands: it is never cut short.
    """
    made = Sheet(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        side = "right" if column in right else "left"
        made.add_column(column, justify=side, no_wrap=column in whole, overflow="fold")
    return made


def show(content: RenderableType) -> None:
    """Prints a table, as wide as it needs where no screen bounds it."""
    if screen.console.is_terminal:
        screen.console.print(content)
    else:
        Console(file=sys.stdout, width=WIDE, highlight=False).print(content)


def notice(text: str) -> Text:
    """A line that people should not overlook."""
    return Text(text, style="yellow")


def add(made: Table, *cells: str) -> None:
    """Adds a line to a table; the cells are shown as they are."""
    made.add_row(*map(plain, cells))


def plain(text: str) -> str:
    """A text from outside as a cell: neither markup nor anything that steers a terminal."""
    return escape(
        "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)
    )


def clock(time: datetime | None, at: datetime) -> str:
    """Local time of day; with as much of its date as differs from that of `at`."""
    if time is None:
        return ""
    local, today = time.astimezone(), at.astimezone().date()
    if local.date() == today:
        return f"{local:%H:%M}"
    return f"{local:%b %d, %H:%M}" if local.year == today.year else f"{local:%b %d, %Y, %H:%M}"


def ahead(time: datetime | None, at: datetime) -> str:
    """How long until a time: ``in 12 min``, ``now``; "" for None."""
    if time is None:
        return ""
    return f"in {format_duration(time - at)}" if time > at else "now"


def expected(forecast: Forecast | None, at: datetime) -> str:
    """A forecast with its range: ``about 12 min, likely 5 min to 20 min``."""
    if forecast is None:
        return "not known"
    return format_outlook(forecast.expected - at, forecast.soonest - at, forecast.latest - at)
