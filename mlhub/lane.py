"""One thread for calls that may hang (a driver, /proc), so that the event loop never does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, TypeVar

T = TypeVar("T")


class Lane:
    """Makes calls one after the other, in a thread of its own that never keeps the program alive.

    A call that hangs keeps its thread; those behind it are given up and never made, and once it
    has hung for longer than a new one would be waited for, that is given up at once. When it
    returns, all goes on. A pool would hang thread after thread, and would wait for all of them at
    the program's end.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._starting = Lock()
        self._began: float | None = None

    async def do(self, call: Callable[[], T], *, timeout_s: float) -> T:
        """The call's result, without blocking the event loop.

        Raises:
            TimeoutError: it did not end within `timeout_s` seconds; the thread may still be in it.
        """
        self._refuse_if_hung(timeout_s)
        async with asyncio.timeout(timeout_s):
            return await asyncio.wrap_future(self._submit(call))

    def wait(self, call: Callable[[], T], *, timeout_s: float) -> T:
        """The call's result, for programs without an event loop.

        Raises:
            TimeoutError: as `do` does.
        """
        self._refuse_if_hung(timeout_s)
        future = self._submit(call)
        try:
            return future.result(timeout_s)
        finally:
            future.cancel()

    def close(self) -> None:
        """Let the thread end after the calls that it was given; later ones are never made."""
        self._calls.put(None)

    def _refuse_if_hung(self, timeout_s: float) -> None:
        began = self._began
        if began is not None and time.monotonic() - began > timeout_s:
            raise TimeoutError(f"{self._name}: a call has not ended for {timeout_s:g} s")

    def _submit(self, call: Callable[[], T]) -> Future[T]:
        with self._starting:
            if self._thread is None:
                self._thread = Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
        future: Future[T] = Future()
        self._calls.put((future, call))
        return future

    def _run(self) -> None:
        while (item := self._calls.get()) is not None:
            future, call = item
            if not future.set_running_or_notify_cancel():
                continue
            self._began = time.monotonic()
            try:
                result = call()
            except BaseException as error:  # noqa: BLE001  it is the caller's, who gets it
                self._began = None
                future.set_exception(error)
            else:
                self._began = None
                future.set_result(result)
