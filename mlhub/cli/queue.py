"""`mlhub queue`: who waits for which GPUs, in which order, and for how long yet."""

from __future__ import annotations

import typer
from rich.console import RenderableType

from mlhub.cli import asking, screen, tables
from mlhub.cli.access import HomeOption, JsonOption, TokenFileOption, UrlOption
from mlhub.client import WaitingView


def register(app: typer.Typer) -> None:
    """Adds this group's commands."""
    app.command("queue")(queue)


def queue(
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show who waits for GPUs; names are seen by operators, and by oneself."""
    found = asking.find_access(url, token_file, home)
    rows = asking.ask(found, lambda client: client.queue())
    if as_json:
        screen.print_json({"items": [asking.document(row) for row in rows]})
    elif rows:
        tables.show(queue_table(rows))
    else:
        screen.say("Nobody waits.")


def queue_table(rows: tuple[WaitingView, ...]) -> RenderableType:
    """One line for each claim, flavor by flavor in the order of the queue."""
    made = tables.table(
        "flavor", "place", "who", "GPUs", "since", "expected", "priority", "claim", "note",
        right=("place", "GPUs", "priority"),
    )  # fmt: skip
    now = tables.now()
    for row in rows:
        tables.add(
            made, row.flavor, str(row.position), who(row), str(row.count),
            tables.clock(row.submitted_at, now), tables.expected(row.expected, now),
            str(row.priority), row.id, row.blocked,
        )  # fmt: skip
    return made


def who(row: WaitingView) -> str:
    """Whose claim it is, as far as the asker may know."""
    if row.user is None:
        return "you" if row.mine else "somebody"
    return f"{row.user}/{row.server}" if row.server else row.user
