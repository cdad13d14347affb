"""Interruption: the signal that ends a run, in all of its processes after the same batch."""

from __future__ import annotations

import signal
from typing import Any, Protocol

from onstage.errors import Interrupted


class _Run(Protocol):
    flags: Any
    interruption: Interrupted | None
    stop_reason: str | None

    @property
    def model(self) -> Any: ...


class Interruption:
    """Sets `Run.interruption` when a signal was received.

    In a run of several processes one of them may receive the signal first, or
    alone. If it left the loop, the others would wait for it for ever. It asks to
    stop, as a callback does, and where all have agreed on that they share whether
    a signal was the reason.

    Attributes
    ----------
    is_shared
        Whether the model is trained by several processes.
    """

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._received: Interrupted | None = None
        self.is_shared = getattr(run.model, "world", 1) > 1 and hasattr(run.model, "agree_on_stop")

    def receive(self, interrupted: Interrupted) -> None:
        """Handle the first signal of this process."""
        self._received = interrupted
        if self.is_shared:
            self._run.flags.stop_training = True
        else:
            self._run.interruption = interrupted

    def agree(self) -> None:
        """Share the signal, if the processes have agreed to stop; all call it at the same position."""
        run = self._run
        if not self.is_shared or run.interruption is not None or not run.flags.stop_training:
            return
        if run.model.agree_on_stop(interrupted=self._received is not None) is not None:
            run.interruption = self._received or Interrupted(signal.SIGTERM)
            # Not a stop of the training, which ends without a last backup.
            run.flags.stop_training = run.stop_reason is not None

    def expire(self) -> None:
        """Handle a signal on which the processes didn't agree before the training ended."""
        self._run.interruption = self._run.interruption or self._received
