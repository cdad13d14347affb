"""Sender: takes events in a microsecond, and sends them from a thread of its own."""

from __future__ import annotations

import os
import random
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onstage_remote_monitor.client import encoding
from onstage_remote_monitor.client.disk_queue import Entry, Spool
from onstage_remote_monitor.client.http import Outcome, Transport

_PAUSE = 0.1
"""Seconds between two looks at what waits; what has come meanwhile goes together."""
_FIRST_DELAY, _LONGEST_DELAY = 0.1, 30.0
_LONGEST_LOOK_UP = 30.0
_AT_ONCE = 256
_BYTES_AT_ONCE = 512 * 1024


class Sender:
    """Sends events in the order given, spools them while the server is away.

    Parameters
    ----------
    transport, spool
        Where to, and where meanwhile.
    many
        Put what waits into one request, as a JSON list.
    retries
        Attempts after a first one that failed, before the server counts as away.
    queue_size
        Events that wait in memory at most.

    Attributes
    ----------
    sent, retried, spooled
        Events that the server took; attempts after the first; events that went
        to disk.
    notices
        What the user should hear of, each thing once.
    """

    def __init__(
        self, transport: Transport, spool: Spool, *, many: bool, retries: int, queue_size: int
    ) -> None:
        self._transport = transport
        self._spool = spool
        self._many = many
        self._retries = retries
        self._queue_size = queue_size
        self.sent = self.retried = self.spooled = 0
        self._lost = self._overflow = 0
        self._process = os.getpid()
        self.notices: deque[str] = deque()
        self._noticed: set[str] = set()
        # A deque, looked at ten times a second: an append takes 0.1 µs, and waking
        # a thread that waits in a queue takes the training 20.
        self._given: deque[tuple[str, int, Mapping[str, Any]]] = deque()
        self._ready: deque[Entry] = deque()
        self._wake = threading.Event()
        self._deadline: float | None = None
        self._failures = 0
        self._one_by_one = 0
        self._next_attempt = 0.0
        self._cause = "not reached in time"
        self._last_failures: int | None = None
        self._broken = False
        self._thread = threading.Thread(target=self._work, name="onstage-remote-monitor", daemon=True)
        self._thread.start()

    def put(self, run: str, sequence: int, fields: Mapping[str, Any]) -> bool:
        """Have an event sent; its values must not change any more.

        False when it is dropped. Its number is for the next one then: events
        go together as long as their numbers have no gap.
        """
        if os.getpid() != self._process:
            return False  # a forked child: the parent sends
        self._transport.break_off()
        if len(self._given) < self._queue_size and not self._broken:
            self._given.append((run, sequence, fields))
            return True
        self._overflow += 1
        self._notice(f"events are lost: more than {self._queue_size} waited; give a larger queue_size")
        return False

    @property
    def dropped(self) -> int:
        """Events that are lost."""
        return self._lost + self._overflow  # each is counted by one thread alone

    def close(self, seconds: float) -> Path | None:
        """Send what waits, for so long at most, and end the thread.

        Returns
        -------
        Path or None
            Where the events are that could not be sent.
        """
        if os.getpid() != self._process:
            return None
        self._deadline = time.monotonic() + seconds
        self._wake.set()
        self._thread.join(seconds)
        patience = time.monotonic() + _LONGEST_LOOK_UP
        while self._thread.is_alive() and time.monotonic() < patience:
            self._transport.break_off(after=0.0)
            self._thread.join(_PAUSE)
        if self._thread.is_alive():
            self._notice("the server's name is still being looked up; what waited is lost")
            return None
        self._transport.close()
        return self._spool.close()

    # -- the thread

    def _work(self) -> None:
        try:
            self._adopt()
            while not self._is_over():
                self._take()
                self._send()
            self._take()
            self._to_disk()
            if len(self._spool):
                self._notice(f"the server is away ({self._cause}); events wait on disk")
        except Exception as error:  # shown at the training's next stage
            self._broken = True
            waited = len(self._given) + len(self._ready) + len(self._spool)
            self._drop(waited, f"{type(error).__name__}: {error}")

    def _is_over(self) -> bool:
        """Wait until there is something to do; True at the end.

        At the end there is one attempt more, and those after it only when there
        ever was a connection: a server that was never there is not waited for.
        """
        if self._deadline is None:
            self._wake.wait(_PAUSE)
            self._wake.clear()
            return False
        if self._last_failures is None:
            self._last_failures = self._failures + (self._retries if self._transport.reached else 0)
            if self._failures > self._retries:
                self._next_attempt = 0.0
        waits = self._given or self._ready or len(self._spool)
        if not waits or self._failures > self._last_failures or time.monotonic() >= self._deadline:
            return True
        time.sleep(max(0.0, min(self._next_attempt, self._deadline) - time.monotonic()))
        return False

    def _adopt(self) -> None:
        try:
            self._spool.adopt()
        except OSError as error:
            self._notice(f"what an earlier training left could not be read: {error}")

    def _take(self) -> None:
        """Write as JSON what was given; to disk when the server is away."""
        for _ in range(len(self._given)):  # not until it is empty: it may fill faster
            run, sequence, fields = self._given.popleft()
            try:
                text = encoding.encode(fields)
            except Exception as error:  # raised by a value: its str may do anything
                self._drop(1, f"an event could not be written: {type(error).__name__}")
                continue
            if text is None:
                self._drop(1, f"an event was larger than {encoding.MAX_BYTES // 1024} KiB")
            else:
                self._ready.append(Entry(run, sequence, text))
        if self._failures > self._retries or len(self._ready) > self._queue_size // 2:
            self._to_disk()

    def _to_disk(self) -> None:
        if not self._ready:
            return
        kept, cause = 0, "the spool is full"
        try:
            kept = self._spool.append(self._ready)
        except OSError as error:
            cause = f"the spool could not be written: {error}"
        self.spooled += kept
        if kept < len(self._ready):
            self._drop(len(self._ready) - kept, cause)
        self._ready.clear()

    def _send(self) -> None:
        """Send until nothing waits, or an attempt fails."""
        while entries := self._first():
            now = time.monotonic()
            if now < self._next_attempt and self._deadline is None:
                return
            if self._deadline is not None and now >= self._deadline:
                return
            self.retried += self._failures > 0
            outcome = self._transport.post(entries, self._many)
            if outcome.kind == "later":
                self._failed(outcome)
                return
            self._failures, self._next_attempt = 0, 0.0
            self._one_by_one = max(0, self._one_by_one - len(entries))
            if outcome.kind == "sent":
                self.sent += len(entries)
            elif len(entries) > 1:
                self._one_by_one = len(entries)  # to find the one that is at fault
                continue
            else:
                self._drop(1, outcome.cause)
            self._off(len(entries))
            if len(self._given) > self._queue_size // 2:
                self._take()

    def _failed(self, outcome: Outcome) -> None:
        self._failures += 1
        delay = min(_FIRST_DELAY * 2 ** min(self._failures - 1, 10), _LONGEST_DELAY)
        delay *= random.uniform(0.75, 1.25)  # many trainings don't come back at once
        self._next_attempt = time.monotonic() + max(delay, min(outcome.wait, _LONGEST_DELAY))
        self._cause = outcome.cause
        if self._failures > self._retries:
            self._notice(f"the server is away ({self._cause}); events wait on disk")

    def _first(self) -> list[Entry]:
        """Give the events for one request: of one run, in a row; those on disk are older."""
        most = _AT_ONCE if self._many and not self._one_by_one else 1
        waiting = self._spool.peek(most) if len(self._spool) else self._ready
        entries: list[Entry] = []
        size = 0
        for entry in waiting:
            size += len(entry.text)
            follows = not entries or (entry.run, entry.sequence - 1) == entries[-1][:2]
            if len(entries) == most or not follows or (entries and size > _BYTES_AT_ONCE):
                break
            entries.append(entry)
        return entries

    def _off(self, count: int) -> None:
        if len(self._spool):
            self._spool.drop(count)
        else:
            for _ in range(count):
                self._ready.popleft()

    def _drop(self, count: int, cause: str) -> None:
        self._lost += count
        self._notice(f"events are lost: {cause}")

    def _notice(self, text: str) -> None:
        kind = text.split("(")[0]
        if kind not in self._noticed:
            self._noticed.add(kind)
            self.notices.append(text)
