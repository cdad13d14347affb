"""Fires a stage of its own, on_record, when a metric reaches its best value."""

from __future__ import annotations

from typing import Any

from onstage import Callback, Logs, hookspec
from onstage.model import State


class Stages:
    """The stage that this package adds."""

    @hookspec
    def on_record(self, epoch: int, value: float) -> Any:
        """Act after an epoch in which the metric reached its best value.

        Parameters
        ----------
        epoch
            From 0.
        value
            The new best value.

        Returns
        -------
        str, optional
            What was done, for the list `Records.reactions`.
        """


class Records(Callback):
    """Fire on_record when a metric has its lowest value so far.

    Parameters
    ----------
    monitor
        Name of the metric in the logs; epochs without it are ignored.

    Attributes
    ----------
    best
        Lowest value so far; None before the first.
    reactions
        What the implementations of on_record returned, in call order.
    """

    def __init__(self, monitor: str = "loss") -> None:
        self.monitor = monitor
        self.best: float | None = None
        self.reactions: list[str] = []

    def on_train_begin(self) -> None:
        """Reset the state of an earlier training."""
        self.best, self.reactions = None, []

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Compare the epoch's value with the lowest."""
        value = logs.get(self.monitor)
        if value is None or (self.best is not None and value >= self.best):
            return
        self.best = value
        if self.run is not None:
            self.reactions += self.run.emit("on_record", epoch=epoch, value=value)

    def state_dict(self) -> State:
        """Return the state that a resumed training needs."""
        return {"best": self.best, "reactions": self.reactions}

    def load_state_dict(self, state: State) -> None:
        """Restore the state that `state_dict` returned."""
        self.best, self.reactions = state["best"], list(state["reactions"])
