"""SignalHandlers: end a run after its current batch, not in the middle of it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from onstage.errors import Interrupted


class SignalHandlers:
    """Handles signals during a run, and restores the handlers after it.

    Parameters
    ----------
    receive
        Called with an `Interrupted` when the first signal is received.
    """

    def __init__(self, receive: Callable[[Interrupted], None]) -> None:
        self._receive = receive
        self._before: dict[int, Any] = {}
        self._received: list[int] = []
        self._process = os.getpid()

    def add(self, signum: int) -> None:
        """Handle a signal; see `Run.stop_on_signal` for the errors."""
        try:
            number = signal.Signals(signum)
        except ValueError as error:
            raise ValueError(f"signum must be a signal of this system, got {signum!r}") from error
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError(
                f"stop_on_signal({number.name}) must be called in the main thread, got thread "
                f"{threading.current_thread().name!r}; Python handles signals only there"
            )
        if number in self._before:
            return
        before = signal.getsignal(number)
        if before is None:
            raise RuntimeError(
                f"{number.name} must have a handler that Python can restore, "
                "got one that another language installed"
            )
        try:
            signal.signal(number, self._note)
        except OSError as error:
            raise ValueError(f"signum must be a signal that can be caught, got {number.name}") from error
        self._before[number] = before

    def _note(self, signum: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            # A forked child, such as a loader's worker, keeps the previous behaviour.
            signal.signal(signum, self._before[signum])
            signal.raise_signal(signal.Signals(signum))
            return
        if not self._received:
            self._receive(Interrupted(signum))
        if signum not in self._received:
            self._received.append(signum)

    def close(self) -> None:
        """Restore the handlers, and raise each received signal again."""
        for signum, before in self._before.items():
            if signal.getsignal(signum) == self._note:  # else a newer handler was installed
                signal.signal(signum, before)
        self._before.clear()
        for signum in self._received:
            signal.raise_signal(signal.Signals(signum))
