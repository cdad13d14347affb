"""Connections: the open sockets of the server, bounded in number."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from dataclasses import dataclass


@dataclass
class _State:
    since: float
    """When it began to wait for a request."""
    deadline: float | None = None
    is_waiting: bool = True
    """Whether no complete, allowed request of it is being answered."""
    is_known: bool = False
    """Whether an earlier request of it was allowed."""


class Connections:
    """Open connections; those that only wait make room for new ones.

    A connection that has sent no complete and allowed request costs its client
    nothing. If there are `most`, the one that has waited longest is closed, first
    among those that never had a request allowed: they cannot shut others out.

    Parameters
    ----------
    most
        Maximum number of connections.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._states: dict[socket.socket, _State] = {}
        self._lock = threading.Lock()

    def add(self, connection: socket.socket) -> bool:
        """Add a connection; return False if all others are being answered."""
        with self._lock:
            if len(self._states) >= self._most and not self._make_room():
                return False
            self._states[connection] = _State(time.monotonic())
            return True

    def _make_room(self) -> bool:
        waiting = [
            (state.is_known, state.since, one) for one, state in self._states.items() if state.is_waiting
        ]
        if not waiting:
            return False
        _, _, longest = min(waiting, key=lambda each: each[:2])
        del self._states[longest]
        _abort(longest)
        return True

    def wait(self, connection: socket.socket, seconds: float) -> None:
        """Note that the next request is awaited, for some seconds at most."""
        now = time.monotonic()
        with self._lock:
            if state := self._states.get(connection):
                state.since, state.deadline, state.is_waiting = now, now + seconds, True

    def serve(self, connection: socket.socket, *, endless: bool = False) -> None:
        """Note that an allowed request is complete; an endless answer has no deadline."""
        with self._lock:
            if state := self._states.get(connection):
                state.is_waiting, state.is_known = False, True
                state.deadline = None if endless else state.deadline

    def remove(self, connection: socket.socket) -> None:
        """Remove a connection that has ended."""
        with self._lock:
            self._states.pop(connection, None)

    def abort_late(self) -> None:
        """Close those that take too long, such as with a byte now and then."""
        now = time.monotonic()
        with self._lock:
            late = [one for one, state in self._states.items() if state.deadline and now > state.deadline]
        for connection in late:
            _abort(connection)

    def abort_all(self) -> None:
        """Close all."""
        with self._lock:
            connections = list(self._states)
        for connection in connections:
            _abort(connection)


def _abort(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
