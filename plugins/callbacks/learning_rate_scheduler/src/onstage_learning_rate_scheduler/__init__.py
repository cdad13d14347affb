"""LearningRateScheduler: the learning rate as a function of the epoch or batch."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from numbers import Real
from typing import Any, ClassVar

import numpy as np

from onstage import Callback, Logs
from onstage.callbacks.learning_rate import check_settable
from onstage.model import State
from onstage.reporting import print_line
from onstage.validation import validate_choice, validate_state, validate_verbosity

__all__ = ["LearningRateScheduler"]


class LearningRateScheduler(Callback):
    """Set the learning rate by a function before each epoch or each batch.

    Add ``learning_rate`` to the logs of each epoch: the rate at its end.

    Parameters
    ----------
    schedule
        ``schedule(epoch, learning_rate)`` or ``schedule(epoch)``; returns the
        new rate, a number >= 0. Epochs count from 0. The current rate is passed
        if it accepts two arguments.
    verbose
        1 prints each rate that is set.
    on
        ``"epoch"``, or ``"batch"``: the first argument is then the number of
        the training batch since the start of training, from 0.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid; at the start of training, if the optimizer
        has a schedule of its own; later, if the function does not return a
        finite number >= 0. Exceptions of the function are not caught.

    Examples
    --------
    >>> from onstage.testing import FakeModel, replay
    >>> halve = LearningRateScheduler(lambda epoch, rate: rate / 2)
    >>> result = replay(halve, [{"loss": 1.0}] * 3, model=FakeModel(1.0))
    >>> result.history.history["learning_rate"]
    [0.5, 0.25, 0.125]
    """

    adds_logs: ClassVar[tuple[str, ...]] = ("learning_rate",)
    needs = ("learning_rate",)

    def __init__(self, schedule: Callable[..., float], verbose: int = 0, on: str = "epoch") -> None:
        self.schedule = schedule
        self._takes_rate = _takes_rate(schedule)
        self.verbose = validate_verbosity(verbose)
        self.on = validate_choice("on", on, ("epoch", "batch"))
        self._batches = 0
        kind = LearningRateScheduler
        self.skips = (kind.on_train_batch_begin,) if self.on == "epoch" else (kind.on_epoch_begin,)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Reset the counter, and check the optimizer."""
        self._batches = 0
        check_settable(self)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Set the rate of the epoch, unless it is set before each batch."""
        if self.on == "epoch":
            self._set(epoch, f"Epoch {epoch + 1}")

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Set the rate of the batch, unless it is set before each epoch."""
        if self.on == "batch":
            self._set(self._batches, f"\nBatch {self._batches + 1}")
            self._batches += 1

    def _set(self, index: int, where: str) -> None:
        current = float(self.model.learning_rate)
        rate = _validated(self.schedule(index, current) if self._takes_rate else self.schedule(index))
        self.model.learning_rate = rate
        if self.verbose:
            print_line(f"{where}: LearningRateScheduler setting learning rate to {rate:.6g}.")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Add the rate to the logs."""
        if logs is not None:
            logs["learning_rate"] = float(self.model.learning_rate)

    def state_dict(self) -> State:
        """Return the number of batches."""
        return {"batches": self._batches}

    def load_state_dict(self, state: State) -> None:
        """Restore the state of `state_dict`; raise StateError if it is invalid."""
        (self._batches,) = validate_state(state, batches=int)


def _takes_rate(schedule: object) -> bool:
    """Return whether a function accepts the rate, by its signature."""
    if not callable(schedule):
        raise TypeError(f"schedule must be a function of (epoch, learning_rate) or (epoch), got {schedule!r}")
    try:
        signature = inspect.signature(schedule)
    except ValueError:
        return False  # a builtin without a signature
    for arguments in ((0, 0.1), (0,)):
        try:
            signature.bind(*arguments)
        except TypeError:
            continue
        return len(arguments) == 2
    raise TypeError(f"schedule must take (epoch, learning_rate) or (epoch), got one that takes {signature}")


def _validated(rate: Any) -> float:
    if isinstance(rate, np.ndarray) and rate.ndim == 0:
        rate = rate[()]
    if isinstance(rate, (bool, np.bool_)) or not isinstance(rate, (Real, np.number)):
        raise TypeError(f"schedule must return a number, got {rate!r}")
    value = float(rate)
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"schedule must return a finite number >= 0, got {value}")
    return value
