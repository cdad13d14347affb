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
from onstage.validation import validate_choice, validate_state, validate_verbosity

__all__ = ["LearningRateScheduler"]


class LearningRateScheduler(Callback):
    """Set the learning rate by a function, before each epoch or each batch.

    Adds ``learning_rate`` to the logs of each epoch: the rate at its end.

    Parameters
    ----------
    schedule
        ``schedule(epoch, learning_rate)`` or ``schedule(epoch)``; gives the new
        rate, a number >= 0. Epochs count from 0. It gets the rate of now where
        it has room for two arguments.
    verbose
        1 prints each rate that is set.
    on
        ``"epoch"``, or ``"batch"``: then the first argument is the number of
        the training batch since training began, from 0.

    Raises
    ------
    TypeError, ValueError
        An argument is of a wrong kind; at the beginning of the training, when
        the optimizer follows a schedule of its own; later, when the function
        gives anything but a finite number >= 0. What the function raises comes
        out as it is.
    """

    adds_logs: ClassVar[tuple[str, ...]] = ("learning_rate",)
    needs = ("learning_rate",)

    def __init__(self, schedule: Callable[..., float], verbose: int = 0, on: str = "epoch") -> None:
        self.schedule = schedule
        self._takes_rate = _takes_rate(schedule)
        self.verbose = validate_verbosity(verbose)
        self.on = validate_choice("on", on, ("epoch", "batch"))
        self._batches = 0
        self.skips = ("on_train_batch_begin",) if self.on == "epoch" else ("on_epoch_begin",)

    def on_train_begin(self) -> None:
        """Begin counting, and check the optimizer."""
        self._batches = 0
        check_settable(self)

    def on_epoch_begin(self, epoch: int) -> None:
        """Set the rate of the epoch, unless it is set before each batch."""
        self._set(epoch, f"Epoch {epoch + 1}")

    def on_train_batch_begin(self) -> None:
        """Set the rate of the batch, unless it is set before each epoch."""
        self._set(self._batches, f"Batch {self._batches + 1}")
        self._batches += 1

    def _set(self, index: int, where: str) -> None:
        now = float(self.model.learning_rate)
        rate = _checked(self.schedule(index, now) if self._takes_rate else self.schedule(index))
        self.model.learning_rate = rate
        if self.verbose:
            # A line break first: a progress bar may stand on the line.
            print(f"\n{where}: LearningRateScheduler setting learning rate to {rate:.6g}.")

    def on_epoch_end(self, logs: Logs | None = None) -> None:
        """Add the rate to the logs."""
        if logs is not None:
            logs["learning_rate"] = float(self.model.learning_rate)

    def state_dict(self) -> State:
        """Give how many batches there were."""
        return {"batches": self._batches}

    def load_state_dict(self, state: State) -> None:
        """Continue from what `state_dict` gave; raises StateError for anything else."""
        (self._batches,) = validate_state(state, batches=int)


def _takes_rate(schedule: object) -> bool:
    """Whether a function has room for the rate; asked of it, not tried out."""
    if not callable(schedule):
        raise TypeError(f"schedule must be a function of (epoch, learning_rate) or (epoch), got {schedule!r}")
    try:
        signature = inspect.signature(schedule)
    except ValueError:
        return False  # One written in C that doesn't say what it takes.
    for given in ((0, 0.1), (0,)):
        try:
            signature.bind(*given)
        except TypeError:
            continue
        return len(given) == 2
    raise TypeError(f"schedule must take (epoch, learning_rate) or (epoch), got one that takes {signature}")


def _checked(rate: Any) -> float:
    if isinstance(rate, np.ndarray) and rate.ndim == 0:
        rate = rate[()]
    if isinstance(rate, (bool, np.bool_)) or not isinstance(rate, (Real, np.number)):
        raise TypeError(f"schedule must give a number, got {rate!r}")
    value = float(rate)
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"schedule must give a finite number >= 0, got {value}")
    return value
