"""Hub: tells the open pages what has changed, and the senders that it is written."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sqlite3
import time
from collections.abc import AsyncIterator

from onstage_live.store import Store

_LOG = logging.getLogger(__name__)
_INTERVAL, _LIST_INTERVAL, _KEEP_ALIVE, _HOUR = 0.1, 1.0, 15.0, 3600.0
_WAITING = 100
_LIST = b"event: runs\ndata:\n\n"


class Hub:
    """Writes the store's changes, and streams them as server-sent events.

    Parameters
    ----------
    store
        The store.
    days, most
        Arguments of `Store.retain`, which is called every hour.
    """

    def __init__(self, store: Store, days: float | None, most: int | None) -> None:
        self.store = store
        self._limits = days, most
        self._listeners: set[asyncio.Queue[bytes | None]] = set()
        self._wake = asyncio.Event()
        self._written: asyncio.Future[None] | None = None
        self._list_changed = True
        self.closed = False

    async def written(self) -> None:
        """Wait until all that was published is on the disk; raise sqlite3.Error if it can't be."""
        if self.store.is_dirty:
            if self._written is None:
                self._written = asyncio.get_running_loop().create_future()
            self._wake.set()
            await asyncio.shield(self._written)

    def list_changed(self) -> None:
        """Tell the pages that the list of runs has changed."""
        self._list_changed = True

    def close(self) -> None:
        """End all streams."""
        self.closed = True
        self._send(None)

    async def work(self) -> None:
        """Write and tell until cancelled."""
        changed: dict[str, int] = {}
        states: dict[str, str] = {}
        told = listed = kept = 0.0
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), _INTERVAL if changed else _LIST_INTERVAL)
            self._wake.clear()
            began = time.monotonic()
            if self.store.is_dirty:
                changed |= self._write()
            now = time.monotonic()
            if changed and now - told >= _INTERVAL:
                self._send(f"event: changed\ndata: {json.dumps(changed)}\n\n".encode())
                self._list_changed, changed, told = True, {}, now
            if now - listed >= _LIST_INTERVAL:
                earlier, states = states, self._states()
                if self._list_changed or states != earlier:
                    self._send(_LIST)
                self._list_changed, listed = False, now
            if now - kept >= _HOUR:
                with contextlib.suppress(sqlite3.Error):  # a full disk: in an hour again
                    self.store.retain(*self._limits)
                kept = now
            # Half of the time is for answers, whatever a write takes.
            await asyncio.sleep(min(_INTERVAL, time.monotonic() - began))

    def _write(self) -> dict[str, int]:
        waiting, self._written = self._written, None
        try:
            changed = self.store.flush()
        except sqlite3.Error as error:
            _LOG.error("the runs can't be written: %s", error)
            if waiting is not None:
                waiting.set_exception(error)
                waiting.exception()  # it may have no reader left
            return {}
        if waiting is not None:
            waiting.set_result(None)
        return changed

    def _states(self) -> dict[str, str]:
        now = time.time()
        return {
            name: self.store.runs[name].shown_state(heard, now) for name, heard in self.store.heard.items()
        }

    def _send(self, message: bytes | None) -> None:
        for queue in self._listeners:
            if queue.full():  # a page that does not read: it connects anew
                queue.get_nowait()
                queue.put_nowait(None)
            else:
                queue.put_nowait(message)

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield the messages of one page."""
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(_WAITING)
        self._listeners.add(queue)
        try:
            yield b"retry: 1000\n\n" + _LIST
            while not self.closed:
                try:
                    message = await asyncio.wait_for(queue.get(), _KEEP_ALIVE)
                except TimeoutError:
                    message = b":\n\n"
                if message is None:
                    return
                yield message
        finally:
            self._listeners.discard(queue)
