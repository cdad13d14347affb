"""EventStore: log of events in memory, bounded in number and bytes."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import Any, NamedTuple

from onstage_remote_monitor.client import encoding

_RUNS = 1000
_ATTEMPTS = 1000
_BYTES = 64 * 2**20
_BYTES_AT_ONCE = 1 << 20


class Received(NamedTuple):
    """One event that the server has accepted."""

    run: str
    sequence: int
    text: str
    """Its JSON: one line of ASCII."""

    @property
    def event(self) -> dict[str, Any]:
        """The event itself."""
        event: dict[str, Any] = json.loads(self.text)
        return event

    def as_message(self) -> bytes:
        """Return it as a server-sent event."""
        return f"id: {self.run}/{self.sequence}\ndata: {self.text}\n\n".encode()


class Truncated(NamedTuple):
    """Notice that a run was resumed: its events from `sequence` on are void."""

    run: str
    sequence: int

    def as_message(self) -> bytes:
        """Return it as a server-sent event of type ``rewound``."""
        return f"event: rewound\nid: {self.run}/{self.sequence}\ndata:\n\n".encode()


class _Run:
    """Position of a run: its attempt (a resume starts another), and the last number."""

    def __init__(self) -> None:
        self.attempt = ""
        self.earlier: deque[str] = deque(maxlen=_ATTEMPTS)
        self.last = -1


class _Logged(NamedTuple):
    number: int
    """Counts from 1, over all runs."""
    news: Received | Truncated
    size: int


class EventStore:
    """Log of the newest events, which each listener reads at its own pace.

    Parameters
    ----------
    history
        Number of events to keep.
    size
        Bytes to keep at most, whatever the number.

    Attributes
    ----------
    received, repeated
        Number of events accepted, and of repeated ones, which are skipped.
    """

    def __init__(self, history: int, size: int = _BYTES) -> None:
        self._history, self._most_bytes = history, size
        self._log: deque[_Logged] = deque()
        self._bytes = 0
        self._newest = self._forgotten = 0
        self._closed = False
        self._runs: OrderedDict[str, _Run] = OrderedDict()
        self._changed = threading.Condition()
        self._unnamed = 0
        self._unnamed_epoch: float = float("inf")
        self.received = self.repeated = 0

    def publish(self, events: Iterable[dict[str, Any]], run: str | None, sequence: int) -> None:
        """Accept consecutive events of one run.

        An event whose number, or a later one, was received before is skipped:
        its sender got no answer and repeats it. If a run is resumed, the events
        that it sent after the state it resumes from are removed.

        Parameters
        ----------
        run
            ``name.attempt``, with another attempt for each resume. None if the
            sender has no name (Keras's): an epoch not above the last then
            starts another run.
        sequence
            Number of the first event.
        """
        # Before the lock is taken: a large event takes long.
        texts = [(event.get("epoch"), _to_json(event)) for event in events]
        with self._changed:
            for number, (epoch, text) in enumerate(texts, sequence):
                name, place = self._place(run, number, epoch)
                if place is None:
                    self.repeated += 1
                else:
                    self.received += 1
                    self._add(Received(name, place, text), len(text))
            self._changed.notify_all()

    def _place(self, run: str | None, number: int, epoch: object) -> tuple[str, int | None]:
        """Return the name of the run and the number of the event; None if it is skipped."""
        if run is None:
            name, attempt = self._unnamed_run(epoch), ""
            number = self._run(name).last + 1
        else:
            name, _, attempt = run.partition(".")
        known = self._run(name)
        if attempt in known.earlier:
            return name, None
        if attempt != known.attempt and known.last >= 0:
            known.earlier.append(known.attempt)
            self._rewind(name, number)
            known.last = number - 1
        known.attempt = attempt
        if number <= known.last:
            return name, None
        known.last = number
        return name, number

    def _run(self, name: str) -> _Run:
        known = self._runs.setdefault(name, _Run())
        self._runs.move_to_end(name)
        if len(self._runs) > _RUNS:
            self._runs.popitem(last=False)
        return known

    def _unnamed_run(self, epoch: object) -> str:
        epoch = epoch if isinstance(epoch, (int, float)) else self._unnamed_epoch
        if not epoch > self._unnamed_epoch:
            self._unnamed += 1
        self._unnamed_epoch = epoch
        return f"run{self._unnamed}"

    def _rewind(self, name: str, number: int) -> None:
        kept = [one for one in self._log if one.news.run != name or one.news.sequence < number]
        self._log = deque(kept)
        self._bytes = sum(one.size for one in kept)
        self._add(Truncated(name, number), 0)

    def _add(self, news: Received | Truncated, size: int) -> None:
        self._newest += 1
        self._log.append(_Logged(self._newest, news, size))
        self._bytes += size
        while len(self._log) > self._history or self._bytes > self._most_bytes:
            oldest = self._log.popleft()
            self._bytes -= oldest.size
            self._forgotten = oldest.number

    def start(self) -> int:
        """Return the position before the oldest event."""
        return self._forgotten

    def read(self, position: int, most: int, timeout: float) -> tuple[list[Received | Truncated], int] | None:
        """Wait for news after a position; return them, and the position after them.

        Returns
        -------
        tuple or None
            No news after a timeout. None ends the listener: the store is
            closed, or has forgotten events that the listener has not read.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._newest > position, timeout)
            if self._closed or position < self._forgotten:
                return None
            found: list[Received | Truncated] = []
            size = 0
            for one in self._after(position):
                if len(found) == most or (found and size + one.size > _BYTES_AT_ONCE):
                    break
                found.append(one.news)
                size += one.size
                position = one.number
            return found, position

    def _after(self, position: int) -> list[_Logged]:
        later = []
        for one in reversed(self._log):
            if one.number <= position:
                break
            later.append(one)
        return later[::-1]

    def close(self) -> None:
        """End all listeners."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def events(self) -> list[Received]:
        """Return the stored events, oldest first."""
        with self._changed:
            return [one.news for one in self._log if isinstance(one.news, Received)]


def _to_json(event: dict[str, Any]) -> str:
    return json.dumps(encoding.to_json_values(event), allow_nan=False, separators=(",", ":"))
