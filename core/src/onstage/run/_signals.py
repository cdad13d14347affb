"""Signals that end a run behind its next batch, rather than anywhere in it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from onstage.errors import Interrupted


class SignalHandlers:
    """Takes a run's signals, and gives them back when the run is over.

    Parameters
    ----------
    receive
        Called with an `Interrupted` when the first signal has come.
    """

    def __init__(self, receive: Callable[[Interrupted], None]) -> None:
        self._receive = receive
        self._before: dict[int, Any] = {}
        self._received: list[int] = []
        self._process = os.getpid()

    def add(self, signum: int) -> None:
        """Take a signal; `Run.stop_on_signal` says what is raised."""
        try:
            number = signal.Signals(signum)
        except ValueError as error:
            raise ValueError(f"signum must be a signal of this system, got {signum!r}") from error
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError(
                f"stop_on_signal({number.name}) must be called in the main thread, got thread "
                f"{threading.current_thread().name!r}; Python handles signals there alone"
            )
        if number in self._before:
            return
        before = signal.getsignal(number)
        if before is None:
            raise RuntimeError(
                f"{number.name} must have a handler that Python knows, got one of another language's, "
                "which could not be put back"
            )
        try:
            signal.signal(number, self._note)
        except OSError as error:
            raise ValueError(f"signum must be a signal that can be caught, got {number.name}") from error
        self._before[number] = before

    def _note(self, signum: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            # A forked child, such as a loader's worker: it dies as it would have without us.
            signal.signal(signum, self._before[signum])
            signal.raise_signal(signal.Signals(signum))
            return
        if not self._received:
            self._receive(Interrupted(signum))
        if signum not in self._received:
            self._received.append(signum)

    def close(self) -> None:
        """Put the handlers back, and hand them each signal that has come."""
        for signum, before in self._before.items():
            if signal.getsignal(signum) == self._note:  # else somebody has a newer one there
                signal.signal(signum, before)
        self._before.clear()
        for signum in self._received:
            signal.raise_signal(signal.Signals(signum))
