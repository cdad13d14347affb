"""Ends a training in time."""

from __future__ import annotations

from time import monotonic

from onstage import Callback
from onstage.model import State


class TimeBudget(Callback):
    """Stop while there is time: before an epoch that would not end in it.

    An epoch is expected to take as long as the longest one so far.

    Parameters
    ----------
    seconds
        What the training may take, validation included, > 0. A resumed
        training counts the time of the earlier ones too.

    Attributes
    ----------
    spent
        Seconds of training so far, up to the end of the last epoch.
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
        """Forget an earlier training."""
        self.spent = self.longest = 0.0

    def on_epoch_begin(self) -> None:
        """Start the clock."""
        self._began = monotonic()

    def on_epoch_end(self) -> None:
        """Stop it, and ask for the end where another epoch would be too long."""
        took = monotonic() - self._began
        self.spent += took
        self.longest = max(self.longest, took)
        if self.spent + self.longest > self.seconds:
            self.stop(f"{self.spent:.0f} of {self.seconds:.0f} s spent, an epoch takes {self.longest:.1f} s")

    def state_dict(self) -> State:
        """Give the time that was spent."""
        return {"spent": self.spent, "longest": self.longest}

    def load_state_dict(self, state: State) -> None:
        """Go on counting from there."""
        self.spent, self.longest = state["spent"], state["longest"]
