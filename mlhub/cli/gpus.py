"""`mlhub gpus`: what there is, what is free, and how long one would wait."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated, Final

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from mlhub.cli import asking, screen, tables
from mlhub.cli.access import Access, HomeOption, JsonOption, TokenFileOption, UrlOption
from mlhub.cli.exits import Exit
from mlhub.client import DeviceView, FlavorView, InventoryView, ServiceUnavailable
from mlhub.core.quantities import format_memory

WATCH_EVERY: Final = 2.0  # seconds: the service itself asks the hardware no more often


def register(app: typer.Typer) -> None:
    """Adds this group's commands."""
    app.command("gpus")(gpus)


def gpus(
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
    devices: Annotated[bool, typer.Option("--devices", help="Each device by itself.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Keep it up to date.")] = False,
) -> None:
    """Show what GPUs there are, how many are free, and the expected wait."""
    if watch and as_json:
        screen.fail("--watch is for people, --json for programs: use one of them.", Exit.USAGE)
    found = asking.find_access(url, token_file, home)
    if watch:
        keep_showing(found, devices=devices)
        return
    stock = asking.ask(found, lambda client: client.inventory())
    if as_json:
        screen.print_json(asking.document(stock))
    else:
        tables.show(picture(stock, devices=devices))


def keep_showing(found: Access, *, devices: bool) -> None:
    """Shows the inventory until Ctrl-C; the last one stays while the service is away."""

    async def follow() -> None:
        async with asking.client_for(found) as client:
            shown: RenderableType = picture(await client.inventory(), devices=devices)
            with Live(shown, console=screen.console, auto_refresh=False) as live:
                while True:
                    live.update(shown, refresh=True)
                    await asyncio.sleep(WATCH_EVERY)
                    try:
                        shown = picture(await client.inventory(), devices=devices)
                    except ServiceUnavailable as error:
                        shown = Group(shown, tables.notice(f"No news: {error.why}."))

    with asking.failures_in_one_line():
        try:
            asyncio.run(follow())
        except KeyboardInterrupt:
            return


def picture(stock: InventoryView, *, devices: bool) -> RenderableType:
    """The inventory as people read it."""
    parts: list[RenderableType] = []
    if stock.simulated:
        parts.append(tables.notice(tables.SIMULATED))
    if stock.problem:
        as_of = tables.clock(stock.taken_at, tables.now())
        parts.append(tables.notice(f"As of {as_of}: {stock.problem}"))
    if not stock.flavors:
        parts.append(Text("There are no GPUs here."))
    else:
        parts.append(device_table(stock) if devices else flavor_table(stock))
    return Group(*parts)


def flavor_table(stock: InventoryView) -> RenderableType:
    """One line for each flavor."""
    made = tables.table(
        "flavor", "name", "memory", "free", "total", "waiting", "next", "price/h", "note",
        right=("memory", "free", "total", "waiting", "price/h"), whole=("flavor",),
    )  # fmt: skip
    for row in stock.flavors:
        memory = format_memory(row.memory_mib) if row.memory_mib else ""
        tables.add(
            made, row.name, row.display_name, memory, str(row.free - row.kept), str(row.total),
            str(row.waiting), next_turn(row, stock.now), f"{row.price:.2f}" if row.price else "",
            note(row),
        )  # fmt: skip
    return made


def next_turn(row: FlavorView, now: datetime) -> str:
    """When one who asked now would get one."""
    if not row.allowed:
        return "never"
    if row.now:
        return "now"
    return tables.expected(row.expected, now)


def note(row: FlavorView) -> str:
    """What else is to be said of a flavor."""
    words = [f"{row.kept} kept for the queue"] if row.kept else []
    words += [f"{row.out_of_service} out of service"] if row.out_of_service else []
    words += [row.why_not] if row.why_not else []
    return ", ".join(words)


def device_table(stock: InventoryView) -> RenderableType:
    """One line for each device."""
    made = tables.table(
        "node", "number", "device", "flavor", "state", "held by", "since", "busy", "memory",
        right=("number", "busy", "memory"), whole=("flavor",),
    )  # fmt: skip
    for node in stock.nodes:
        for row in node.devices:
            trouble = row.trouble or node.trouble
            state = f"{row.state}: {trouble}" if trouble else row.state
            held, since = holder(row)
            tables.add(
                made, node.name, str(row.index), row.uuid, row.flavor or "", state,
                held, since, busy(row), memory(row),
            )  # fmt: skip
    return made


def holder(row: DeviceView) -> tuple[str, str]:
    """Who has a device, and since when; as far as the asker may know."""
    if row.holder is None:
        return "", ""
    server = f"/{row.holder.server}" if row.holder.server else ""
    return f"{row.holder.user}{server}", tables.clock(row.holder.since, tables.now())


def busy(row: DeviceView) -> str:
    """How much of the time a device works; "" when that is not known."""
    return "" if row.utilisation is None else f"{row.utilisation:.0f} %"


def memory(row: DeviceView) -> str:
    """What is used of a device's memory, as far as it is known."""
    whole = format_memory(row.memory_mib)
    return (
        whole if row.memory_used_mib is None else f"{format_memory(row.memory_used_mib)} of {whole}"
    )
