"""ReduceLROnPlateau: reduce the learning rate when a metric stops improving."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from onstage import Callback, Logs
from onstage.callbacks.learning_rate import check_settable
from onstage.callbacks.monitor import Monitor
from onstage.model import State
from onstage.reporting import print_line
from onstage.validation import validate_float, validate_int, validate_state, validate_verbosity

__all__ = ["ReduceLROnPlateau"]


class ReduceLROnPlateau(Callback):
    """Reduce the learning rate when a metric has stopped improving.

    Add ``learning_rate`` to the logs of each epoch: the rate that it ran with.

    Parameters
    ----------
    monitor
        The metric to watch.
    factor
        Factor of each reduction, in (0, 1).
    patience
        Epochs without improvement before a reduction, >= 0; 0 and 1 are the same.
    verbose
        1 prints each reduction.
    mode
        ``"min"``, ``"max"`` or ``"auto"``.
    min_delta
        Minimum improvement, exclusive, >= 0.
    cooldown
        Length of the pause after a reduction, in epochs, >= 0. Its last epoch
        counts towards patience already, as in Keras: 0 and 1 are the same.
    min_lr
        Lower bound of the rate, >= 0.

    Attributes
    ----------
    best
        Best value so far, None before the first.
    wait
        Epochs since the last improvement or reduction.
    cooldown_counter
        Remaining epochs of the pause.
    monitor_op
        ``numpy.less`` or ``numpy.greater``; None before training.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid; at the start of training, if the monitor is
        unknown or the optimizer has a schedule.

    Examples
    --------
    >>> from onstage.testing import FakeModel, replay
    >>> reduce = ReduceLROnPlateau(monitor="loss", factor=0.5, patience=2)
    >>> result = replay(reduce, [{"loss": 1.0}] * 4, model=FakeModel(1.0))
    >>> result.history.history["learning_rate"]
    [1.0, 1.0, 1.0, 0.5]
    """

    adds_logs: ClassVar[tuple[str, ...]] = ("learning_rate",)
    needs = ("learning_rate",)

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        self._monitor = Monitor(monitor, mode, min_delta)
        self.monitor = monitor
        self.factor = validate_float("factor", factor, 0, 1, exclude={0, 1})
        self.patience = validate_int("patience", patience, 0)
        self.verbose = validate_verbosity(verbose)
        self.mode = mode
        self.min_delta = self._monitor.min_delta
        self.cooldown = validate_int("cooldown", cooldown, 0)
        self.min_lr = validate_float("min_lr", min_lr, 0)
        self.monitor_op: np.ufunc | None = None
        self._reset()

    def _reset(self) -> None:
        self.best: float | None = None
        self.wait = 0
        self.cooldown_counter = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Reset the state of an earlier training; check the monitor and the optimizer."""
        self._reset()
        self._monitor = Monitor(self.monitor, self.mode, self.min_delta)  # they may have been set since
        self._monitor.resolve(self)
        self.monitor_op = self._monitor.op
        check_settable(self)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Compare with the best so far; reduce the rate if patience is exhausted."""
        logs = {} if logs is None else logs
        logs["learning_rate"] = float(self.model.learning_rate)
        value = self._monitor.read(logs)
        if value is None:
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self._monitor.improved(value, self.best):
            self.best = value
            self.wait = 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience:
                self._reduce(epoch)

    def in_cooldown(self) -> bool:
        """Return whether epochs do not count towards patience now."""
        return self.cooldown_counter > 0

    def _reduce(self, epoch: int) -> None:
        rate = float(self.model.learning_rate)
        if rate <= self.min_lr:
            return
        new = max(rate * self.factor, self.min_lr)
        self.model.learning_rate = new
        self.cooldown_counter = self.cooldown
        self.wait = 0
        if self.verbose:
            # A line break first: a progress bar may occupy the line.
            print_line(f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to {new:.6g}.")

    def state_dict(self) -> State:
        """Return the best value and the counters."""
        return {"best": self.best, "wait": self.wait, "cooldown_counter": self.cooldown_counter}

    def load_state_dict(self, state: State) -> None:
        """Restore the state of `state_dict`; raise StateError if it is invalid."""
        self.best, self.wait, self.cooldown_counter = validate_state(
            state, best=(float, type(None)), wait=int, cooldown_counter=int
        )
