"""`mlhub leases` and `mlhub release`: who has what, since when, until when; and giving it back."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Final

import typer
from rich.console import Group, RenderableType

from mlhub.cli import asking, screen, tables
from mlhub.cli.access import HomeOption, JsonOption, TokenFileOption, UrlOption
from mlhub.cli.exits import Exit
from mlhub.client import BrokerClient, LeaseView

PAGE: Final = 200
WAIT_LIMIT: Final = 120.0  # seconds that `release --wait` waits for the holder's end
LOOK_EVERY: Final = 0.5


def register(app: typer.Typer) -> None:
    """Adds this group's commands."""
    app.command("leases")(leases)
    app.command("release")(release)


def leases(
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
    ended: Annotated[bool, typer.Option("--ended", help="Those that are over.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Those that are over too.")] = False,
    user: Annotated[str | None, typer.Option("--user", help="Of this user only.")] = None,
    limit: Annotated[int, typer.Option("--limit", help="At most so many.", min=1)] = 100,
) -> None:
    """Show leases: one's own, and everybody's to an operator."""
    states = ["live", "ended"] if every else ["ended" if ended else "live"]
    found = asking.find_access(url, token_file, home)
    rows = asking.ask(found, lambda client: collect(client, states, user=user, limit=limit))
    if as_json:
        screen.print_json({"items": [asking.document(row) for row in rows]})
    elif rows:
        tables.show(picture(rows))
    else:
        screen.say("No GPU is in use." if states == ["live"] else "There are none.")


async def collect(
    client: BrokerClient, states: list[str], *, user: str | None, limit: int
) -> list[LeaseView]:
    """The leases in these states, newest first in each, at most `limit`."""
    found: list[LeaseView] = []
    for state in states:
        before: int | None = None
        while len(found) < limit:
            most = min(PAGE, limit - len(found))
            page = await client.leases(state=state, user=user, limit=most, before=before)
            found += page.items
            before = page.next
            if before is None or not page.items:
                break
    return found


def picture(rows: list[LeaseView]) -> RenderableType:
    """The leases as people read them."""
    made = lease_table(rows)
    simulated = any(row.simulated for row in rows)
    return Group(tables.notice(tables.SIMULATED), made) if simulated else made


def lease_table(rows: list[LeaseView]) -> RenderableType:
    """One line for each lease."""
    made = tables.table(
        "lease", "user", "server", "flavor", "GPUs", "state", "since", "ends", "waiting", "note",
        right=("GPUs", "waiting"), whole=("lease",),
    )  # fmt: skip
    now = tables.now()
    for row in rows:
        over = row.ended_at is not None
        tables.add(
            made, row.id, row.user, row.server or "default", row.flavor, str(row.count),
            row.status, tables.clock(row.granted_at, now),
            tables.clock(row.ended_at if over else row.ends_at, now),
            "" if over else str(row.waiting), note(row),
        )  # fmt: skip
    return made


def note(row: LeaseView) -> str:
    """Why a lease ended or ends, or until when it has to be used."""
    if row.why:
        return row.why
    if row.window_closes_at is not None:
        return f"to be opened {tables.ahead(row.window_closes_at, tables.now())}"
    return ""


def offered(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """The live leases whose id begins as what was typed, for the shell's completion."""
    names = ("url", "token_file", "home")
    access = asking.find_access_quietly(*(ctx.params.get(name) for name in names))
    rows = asking.ask_quietly(access, lambda client: client.leases()) if access else None
    return [
        (row.id, f"{row.user}/{row.server or 'default'}: {row.count} x {row.flavor}")
        for row in (rows.items if rows else ())
        if row.id.startswith(incomplete)
    ]


def release(
    lease: Annotated[
        str,
        typer.Argument(help="Its id, as `mlhub leases` shows it.", autocompletion=offered),
    ],
    why: Annotated[
        str, typer.Option("--why", help="The reason, which its holder is told; operators give one.")
    ] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Until its GPUs are free.")] = False,
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a lease: its server is stopped, and its GPUs go to the next."""
    found = asking.find_access(url, token_file, home)
    row = asking.ask(found, lambda client: let_go(client, lease, why=why, wait=wait))
    if as_json:
        screen.print_json(asking.document(row))
    elif row.status == "ended":
        screen.say(f"Lease {row.id} of {row.user} has ended: its GPUs are free.")
    else:
        screen.say(f"Lease {row.id} of {row.user} is ending: its server is being stopped.")
    if wait and row.status != "ended":
        screen.fail(f"The holder still ran after {WAIT_LIMIT:.0f} s.", Exit.FAILED)


async def let_go(client: BrokerClient, lease_id: str, *, why: str, wait: bool) -> LeaseView:
    """Ends a lease, and waits until its holder's end was observed if that is wanted."""
    row = await client.release(lease_id, why=why)
    deadline = time.monotonic() + WAIT_LIMIT
    while wait and row.status != "ended" and time.monotonic() < deadline:
        await asyncio.sleep(LOOK_EVERY)
        row = await client.lease(lease_id)
    return row
