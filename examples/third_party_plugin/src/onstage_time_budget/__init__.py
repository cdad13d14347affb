"""Stops a training before its time is over."""

from __future__ import annotations

from time import monotonic

from onstage import Callback
from onstage.model import State


class TimeBudget(Callback):
    """Stop before an epoch that would exceed the time budget.

    The next epoch is expected to take as long as the longest one so far.

    Parameters
    ----------
    seconds
        Time for the training, validation included, > 0. A resumed training
        includes the time before the interruption.

    Attributes
    ----------
    spent
        Seconds of training up to the end of the last epoch.
    longest
        Seconds of the longest epoch so far.
    """

    def __init__(self, seconds: float) -> None:
        if not seconds > 0:
            raise ValueError(f"seconds must be greater than 0, got {seconds!r}")
        self.seconds = seconds
        self.spent = self.longest = 0.0
        self._began = 0.0

    def on_train_begin(self) -> None:
        """Reset the times."""
        self.spent = self.longest = 0.0

    def on_epoch_begin(self) -> None:
        """Start the clock."""
        self._began = monotonic()

    def on_epoch_end(self) -> None:
        """Add the epoch's time, and stop if another epoch would exceed the budget."""
        took = monotonic() - self._began
        self.spent += took
        self.longest = max(self.longest, took)
        if self.spent + self.longest > self.seconds:
            self.stop(f"{self.spent:.0f} of {self.seconds:.0f} s spent, an epoch takes {self.longest:.1f} s")

    def state_dict(self) -> State:
        """Return the time spent so far."""
        return {"spent": self.spent, "longest": self.longest}

    def load_state_dict(self, state: State) -> None:
        """Restore the time spent so far."""
        self.spent, self.longest = state["spent"], state["longest"]
