"""EventStore: in-memory store of events with listeners."""

from __future__ import annotations

import contextlib
import json
import queue
import threading
from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import Any, NamedTuple, TypeAlias

from onstage_remote_monitor.client import encoding

_RUNS = 1000
_LISTENER_QUEUE = 10_000


class Received(NamedTuple):
    """One event that the server has accepted."""

    run: str
    sequence: int
    event: dict[str, Any]

    def as_message(self) -> bytes:
        """Return it as a server-sent event: JSON is one line of ASCII."""
        return f"id: {self.run}/{self.sequence}\ndata: {json.dumps(self.event)}\n\n".encode()


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
        self.earlier: set[str] = set()
        self.last = -1


Listener: TypeAlias = queue.Queue[Received | Truncated | None]
"""Queue of messages to a page, in order; None is the end."""


class EventStore:
    """Keeps the newest events, and passes each one to the listeners once.

    Parameters
    ----------
    history
        Number of events to keep.

    Attributes
    ----------
    received, repeated
        Number of events accepted, and of repeated ones, which are skipped.
    """

    def __init__(self, history: int) -> None:
        self._events: deque[Received] = deque(maxlen=history)
        self._runs: OrderedDict[str, _Run] = OrderedDict()
        self._listeners: set[Listener] = set()
        self._lock = threading.Lock()
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
        with self._lock:
            for number, event in enumerate(events, sequence):
                name, place = self._place(run, number, event)
                if place is None:
                    self.repeated += 1
                else:
                    self.received += 1
                    received = Received(name, place, encoding.to_json_values(event))
                    self._events.append(received)
                    self._pass_on(received)

    def _place(self, run: str | None, number: int, event: dict[str, Any]) -> tuple[str, int | None]:
        """Return the name of the run and the number of the event; None if it is skipped."""
        if run is None:
            name, attempt = self._unnamed_run(event), ""
            number = self._run(name).last + 1
        else:
            name, _, attempt = run.partition(".")
        known = self._run(name)
        if attempt in known.earlier:
            return name, None
        if attempt != known.attempt and known.last >= 0:
            known.earlier.add(known.attempt)
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

    def _unnamed_run(self, event: dict[str, Any]) -> str:
        epoch = event.get("epoch")
        epoch = epoch if isinstance(epoch, (int, float)) else self._unnamed_epoch
        if not epoch > self._unnamed_epoch:
            self._unnamed += 1
        self._unnamed_epoch = epoch
        return f"run{self._unnamed}"

    def _rewind(self, name: str, number: int) -> None:
        kept = [each for each in self._events if each.run != name or each.sequence < number]
        self._events.clear()
        self._events.extend(kept)
        self._pass_on(Truncated(name, number))

    def _pass_on(self, news: Received | Truncated) -> None:
        for listener in list(self._listeners):
            try:
                listener.put_nowait(news)
            except queue.Full:  # it reads too slowly: its connection ends, and it may reconnect
                self._listeners.discard(listener)

    def listen(self) -> tuple[list[Received], Listener]:
        """Return the events so far, and a queue of later ones."""
        listener: Listener = queue.Queue(_LISTENER_QUEUE)
        with self._lock:
            self._listeners.add(listener)
            return list(self._events), listener

    def leave(self, listener: Listener) -> None:
        """Remove a listener."""
        with self._lock:
            self._listeners.discard(listener)

    def is_heard(self, listener: Listener) -> bool:
        """Return whether a listener still receives events."""
        return listener in self._listeners

    def close(self) -> None:
        """End all listeners."""
        with self._lock:
            listeners, self._listeners = self._listeners, set()
        for listener in listeners:
            with contextlib.suppress(queue.Full):
                listener.put_nowait(None)

    def events(self) -> list[Received]:
        """Return the stored events, oldest first."""
        with self._lock:
            return list(self._events)
