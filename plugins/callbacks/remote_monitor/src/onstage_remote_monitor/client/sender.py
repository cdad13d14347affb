"""Sender: queues events in under a microsecond, and sends them in a background thread."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from onstage.errors import show_error, show_text
from onstage.state.background import BackgroundQueue
from onstage_remote_monitor.client import encoding
from onstage_remote_monitor.client.disk_queue import Spool
from onstage_remote_monitor.client.http import Outcome, Transport
from onstage_remote_monitor.client.leftovers import Leftovers
from onstage_remote_monitor.client.spool_file import Entry

_Event: TypeAlias = tuple[str, int, Mapping[str, Any]]
"""Run, number in it, fields."""

_INTERVAL = 0.1
"""Seconds between two requests; the events put meanwhile go into one."""
_FIRST_DELAY, _LONGEST_DELAY = 0.1, 30.0
_LONGEST_LOOK_UP = 30.0
_HEARTBEAT = 8.0
"""Seconds without events after which the server is told that the run goes on."""
_AT_ONCE = 256
_BYTES_AT_ONCE = 512 * 1024


class Sender:
    """Sends events in order, and spools them while the server is away.

    Parameters
    ----------
    transport, spool, leftovers
        Connection to the server; queue on disk; events of earlier trainings.
    many
        Put waiting events into one request, as a JSON list.
    retries
        Attempts after a failed one, before the server counts as away.
    queue_size
        Maximum number of events in memory.

    Attributes
    ----------
    sent, retried, spooled
        Events accepted by the server; repeated attempts; events written to disk.
    notices
        Messages for the user, each kind once.
    asked_to_stop
        Reason for which the server asks the run to stop; empty if it does not.
    """

    def __init__(
        self,
        transport: Transport,
        spool: Spool,
        leftovers: Leftovers,
        *,
        many: bool,
        retries: int,
        queue_size: int,
    ) -> None:
        self._transport = transport
        self._spool = spool
        self._leftovers = leftovers
        self._many = many
        self._retries = retries
        self._queue_size = queue_size
        self.sent = self.retried = self.spooled = 0
        self._lost = self._overflow = 0
        self.notices: deque[str] = deque()
        self._noticed: set[str] = set()
        self._ready: deque[Entry] = deque()
        self._deadline: float | None = None
        self._failures = 0
        self._one_by_one = 0
        self._next_attempt = 0.0
        self._cause = "not reached in time"
        self._next: tuple[str, int] = ("", 0)
        self._told = 0.0
        self.asked_to_stop = ""
        self._queue = BackgroundQueue("onstage-remote-monitor", self._work, queue_size, interval=_INTERVAL)
        self._queue.start()

    def put(self, run: str, sequence: int, fields: Mapping[str, Any]) -> bool:
        """Send an event, whose values must not change any more.

        Return False if it is dropped. The next event then takes its number:
        events are sent together as long as their numbers have no gap.
        """
        if self._queue.is_forked:
            return False  # the parent sends
        self._transport.abort_late()
        if self._queue.put((run, sequence, fields), wait=False):
            return True
        self._overflow += 1
        self._notice(f"events are lost: more than {self._queue_size} waited; pass a larger queue_size")
        return False

    @property
    def dropped(self) -> int:
        """Number of events that are lost."""
        return self._lost + self._overflow  # each is counted by one thread alone

    def close(self, seconds: float) -> Path | None:
        """Send the events that wait, for `seconds` at most, and end the thread.

        Returns
        -------
        Path or None
            File of the events that could not be sent.
        """
        if self._queue.is_forked:
            return None
        self._deadline = time.monotonic() + seconds
        ended = self._queue.close(seconds)
        patience = time.monotonic() + _LONGEST_LOOK_UP
        while not ended and time.monotonic() < patience:
            self._transport.abort_late(after=0.0)
            ended = self._queue.close(_INTERVAL)
        if not ended:
            self._notice("the server's name is still being looked up; the events that waited are lost")
            return None
        self._transport.close()
        return self._spool.close()

    # -- the thread

    def _work(self, events: list[_Event]) -> None:
        try:
            self._leftovers.adopt(self._spool)
            self._encode(events)
            self._send()
            self._beat()
            if self._deadline is not None:
                self._finish(self._deadline)
        except BaseException as error:  # of an event, or of the file: go on without them
            lost = len(self._ready) + len(self._spool)
            self._ready.clear()
            kept = self._spool.set_aside()
            where = f"; those on disk are in {kept}" if kept else ""
            self._drop(lost, f"{show_error(error)}{where}")
        self._report()

    def _report(self) -> None:
        """Count and tell what could not be read from disk."""
        while self._spool.problems:
            lost, text = self._spool.problems.pop(0)
            self._lost += lost
            self._notice(text)

    def _finish(self, deadline: float) -> None:
        """Send the rest until the deadline, then write it to disk.

        A last attempt is always made. It is repeated only if the server was
        ever reached: one that was never there is not waited for.
        """
        last_failures = self._failures + (self._retries if self._transport.reached else 0)
        if self._failures > self._retries:
            self._next_attempt = 0.0
        while self._ready or len(self._spool):
            if self._failures > last_failures or time.monotonic() >= deadline:
                break
            time.sleep(max(0.0, min(self._next_attempt, deadline) - time.monotonic()))
            self._send()
        self._to_disk()
        if len(self._spool):
            self._notice(f"the server is away ({self._cause}); events wait on disk")

    def _encode(self, events: list[_Event]) -> None:
        """Make JSON of events; write it to disk while the server is away."""
        for run, sequence, fields in events:
            self._next = run, sequence + 1
            try:
                text = encoding.encode(fields)
            except BaseException as error:  # raised by a value: its str may do anything
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
            cause = f"the spool could not be written: {show_text(error)}"
        self.spooled += kept
        if kept < len(self._ready):
            self._drop(len(self._ready) - kept, cause)
        self._ready.clear()

    def _send(self) -> None:
        """Send until the queue is empty or an attempt fails."""
        while entries := self._first():
            now = time.monotonic()
            if now < self._next_attempt and self._deadline is None:
                return
            if self._deadline is not None and now >= self._deadline:
                return
            self.retried += self._failures > 0
            outcome = self._transport.post(entries, self._many)
            self._heed(outcome, entries[0].run)
            if outcome.kind == "later":
                self._failed(outcome)
                return
            self._failures, self._next_attempt = 0, 0.0
            self._one_by_one = max(0, self._one_by_one - len(entries))
            if outcome.kind == "sent":
                self.sent += len(entries)
            elif len(entries) > 1:
                self._one_by_one = len(entries)  # to find the refused one
                continue
            else:
                self._drop(1, outcome.cause)
            self._remove(len(entries))
            if len(self._queue) > self._queue_size // 2:
                self._encode(self._queue.take())

    def _heed(self, outcome: Outcome, run: str) -> None:
        self._told = time.monotonic()
        if outcome.stop and run == self._next[0]:
            self.asked_to_stop = outcome.stop

    def _beat(self) -> None:
        """Send a heartbeat, if the server takes them and nothing else was sent for a while."""
        idle = self._transport.takes_heartbeats and not self._failures and self._deadline is None
        if idle and time.monotonic() - self._told >= _HEARTBEAT:
            self._heed(self._transport.beat(*self._next), self._next[0])

    def _failed(self, outcome: Outcome) -> None:
        self._failures += 1
        delay = min(_FIRST_DELAY * 2 ** min(self._failures - 1, 10), _LONGEST_DELAY)
        delay *= random.uniform(0.75, 1.25)  # so that many trainings do not return at once
        self._next_attempt = time.monotonic() + max(delay, min(outcome.wait, _LONGEST_DELAY))
        self._cause = outcome.cause
        if self._failures > self._retries:
            self._notice(f"the server is away ({self._cause}); events wait on disk")

    def _first(self) -> list[Entry]:
        """Return the events for one request: consecutive, of one run; those on disk are older."""
        if not len(self._spool):
            self._leftovers.adopt(self._spool)
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

    def _remove(self, count: int) -> None:
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
