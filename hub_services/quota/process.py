"""The life of the service's process: own the ledger, keep it, listen, end."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import secrets
import signal
import socket
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from tornado.httpserver import HTTPServer

from hub_services.quota.application import application, server
from hub_services.quota.keeping import Keeper
from hub_services.quota.service import Service
from mlhub.broker.ports import Store
from mlhub.core.errors import LedgerUnavailable, NotOwner, SchemaMismatch

log = logging.getLogger(__name__)
RETRY: Final = 1.0  # seconds between two tries to become the owner
REMIND: Final = 30  # tries after which the log says again that it waits
LAST_WORDS: Final = 5.0  # seconds that open requests may take to end
FENCED: Final = 75  # exit status: another process owns the ledger now
GARBAGE: Final = (10_000, 20, 50)  # objects, young rounds, middle rounds between two searches
UNUSABLE: Final = 78  # exit status: a newer mlhub wrote the ledger


class Stopped(Exception):
    """The process was asked to end."""


async def live(service: Service, address: str) -> int:
    """Run until a signal, or until another process owns the ledger; the exit status.

    Args:
        service: what is served.
        address: where to listen, as JUPYTERHUB_SERVICE_URL has it.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    store = service.broker.store
    try:
        await _own(store, stop)
    except Stopped:
        return 0
    except SchemaMismatch as error:
        log.critical("%s", error)
        return UNUSABLE
    service.vitals.owner = True
    _keep_for_good()
    return await _serve(service, address, stop)


async def _own(store: Store, stop: asyncio.Event) -> None:
    """Become the owner of the ledger, however long another one keeps it.

    Raises:
        Stopped: the process has to end before that.
        SchemaMismatch: the ledger is newer than this program.
    """
    me, tries = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}", 0
    while not stop.is_set():
        try:
            await store.open(me)
            return
        except (NotOwner, LedgerUnavailable) as error:
            if tries % REMIND == 0:
                log.warning("waiting for the ledger, and not listening until then: %s", error)
        tries += 1
        await _within(stop, RETRY)
    raise Stopped


def _keep_for_good() -> None:
    """Search what is there now for garbage never again: it stays to the process's end.

    Program and ledger are some 400,000 objects. Looked through every few seconds, they held up
    every claim that came meanwhile for a tenth of a second.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE)


async def _serve(service: Service, address: str, stop: asyncio.Event) -> int:
    keeper = Keeper(service)
    keeping = asyncio.create_task(_keep(keeper, service))
    http = server(application(service))
    host, port = _place(address)
    try:
        http.listen(port, host)
    except OSError as error:
        log.critical("cannot listen on %s:%d: %s", host, port, error.strerror)
        return os.EX_UNAVAILABLE
    log.info("listening on %s:%d under %s", host, port, service.prefix)
    await _first(stop, service.vitals.fenced)
    if service.vitals.fenced.is_set():
        log.critical("another process owns the ledger now: this one ends at once")
        return FENCED
    await _end(service, http, keeper, keeping)
    return 0


async def _keep(keeper: Keeper, service: Service) -> None:
    try:
        await keeper.run()
    except* NotOwner:
        service.vitals.fenced.set()


async def _end(
    service: Service, http: HTTPServer, keeper: Keeper, keeping: asyncio.Task[None]
) -> None:
    """Finish what runs, then let the ledger go."""
    log.info("stopping")
    http.stop()
    service.vitals.owner = False
    service.closing.set()
    service.bus.wake_all()
    keeping.cancel()
    await asyncio.wait([keeping])
    await asyncio.gather(keeper.settle(), _within(service.idle, LAST_WORDS))
    await keeper.record_refusals()
    await http.close_all_connections()
    await service.broker.store.close()
    for close in service.closers:
        await close()


def _place(address: str) -> tuple[str, int]:
    """Host and port of an address such as ``http://127.0.0.1:8100``."""
    parts = urlsplit(address)
    return parts.hostname or "127.0.0.1", parts.port or 80


async def _first(*events: asyncio.Event) -> None:
    tasks = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()


async def _within(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
