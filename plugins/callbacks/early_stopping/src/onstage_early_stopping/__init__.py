"""EarlyStopping: end training when a metric has stopped improving."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

from onstage import Callback, Logs
from onstage.callbacks.monitor import Monitor
from onstage.model import Array, State
from onstage.reporting import print_line
from onstage.validation import (
    validate_bool,
    validate_int,
    validate_optional_float,
    validate_state,
    validate_verbosity,
    validate_weights,
)

__all__ = ["EarlyStopping"]


class EarlyStopping(Callback):
    """Stop training when a metric has not improved for some epochs.

    Parameters
    ----------
    monitor
        The metric to watch, or several: training then continues while any of
        them improves, and the first decides which epoch is the best.
    min_delta
        Minimum improvement, exclusive, >= 0.
    patience
        Epochs without improvement before the stop, >= 0; 0 and 1 are the same.
    verbose
        1 prints a message at the stop and when weights are restored.
    mode
        ``"min"``, ``"max"`` or ``"auto"`` for all monitors, or one for each.
    baseline
        Value to improve on within `patience` epochs; for one monitor only.
    restore_best_weights
        Whether training ends with the weights of the best epoch, even if all
        epochs are run. Keeps a copy of the weights in memory.
    start_from_epoch
        Earlier epochs, counted from 0, are ignored.

    Attributes
    ----------
    best
        Best value so far, None before the first; a dict by name for several.
    wait
        Epochs since the last improvement.
    best_epoch, stopped_epoch
        Counted from 0; also 0 if there is none.
    best_weights
        Weights of the best epoch; None without restore_best_weights.
    monitor_op
        ``numpy.less`` or ``numpy.greater``; None before training.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid; at the start of training, if the monitor or
        its direction is unknown.

    Examples
    --------
    >>> from onstage.testing import replay
    >>> stop = EarlyStopping(monitor="loss", patience=2)
    >>> result = replay(stop, [{"loss": loss} for loss in (3.0, 1.0, 2.0, 2.0, 0.5)])
    >>> result.stop_reason
    'loss has not improved for 2 epochs'
    >>> stop.best, stop.best_epoch
    (1.0, 1)
    """

    adds_logs: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        monitor: str | Sequence[str] = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str | Sequence[str] = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        self.monitor = monitor
        self.mode = mode
        self._monitors = _monitors(monitor, mode, min_delta)
        self.min_delta = self._monitors[0].min_delta
        self.patience = validate_int("patience", patience, 0)
        self.verbose = validate_verbosity(verbose)
        self.baseline = validate_optional_float("baseline", baseline)
        if baseline is not None and len(self._monitors) > 1:
            raise ValueError(f"baseline must be None with several monitors, got {baseline!r}")
        self.restore_best_weights = validate_bool("restore_best_weights", restore_best_weights)
        self.start_from_epoch = validate_int("start_from_epoch", start_from_epoch, 0)
        if restore_best_weights:
            self.needs = ("get_weights", "set_weights")
        self.monitor_op: np.ufunc | None = None
        self._reset()

    def _reset(self) -> None:
        self.wait = 0
        self.stopped_epoch = 0
        self.best_epoch = 0
        self.best_weights: list[Array] | None = None
        self._bests: list[float | None] = [None] * len(self._monitors)

    @property
    def best(self) -> float | dict[str, float | None] | None:
        """Best value so far; a dict by name if there are several monitors."""
        if isinstance(self.monitor, str):
            return self._bests[0]
        return {monitor.name: best for monitor, best in zip(self._monitors, self._bests, strict=True)}

    @best.setter
    def best(self, value: Any) -> None:
        by_name = {self._monitors[0].name: value} if isinstance(self.monitor, str) else value
        self._bests = [by_name.get(monitor.name) for monitor in self._monitors]

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Reset the state of an earlier training, and check the monitors."""
        self._monitors = _monitors(self.monitor, self.mode, self.min_delta)  # they may have been set since
        self._reset()
        for monitor in self._monitors:
            monitor.resolve(self)
        self.monitor_op = self._monitors[0].op

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Compare with the best so far; stop if patience is exhausted."""
        values = [self.get_monitor_value(logs), *(monitor.read(logs) for monitor in self._monitors[1:])]
        if all(value is None for value in values) or epoch < self.start_from_epoch:
            return
        self.wait += 1
        improved = [self._update_best(n, value) for n, value in enumerate(values)]
        if improved[0]:
            self.best_epoch = epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
        if any(improved) and self._beats_baseline(values[0]):
            self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.stop(self._reason())

    def get_monitor_value(self, logs: Logs | None) -> float | None:
        """Return the value of the first monitor, None without; a subclass may compute another one."""
        return self._monitors[0].read(logs)

    def _update_best(self, n: int, value: float | None) -> bool:
        improved = value is not None and self._monitors[n].improved(value, self._bests[n])
        if improved:
            self._bests[n] = value
        return improved

    def _beats_baseline(self, value: float | None) -> bool:
        return self.baseline is None or (
            value is not None and self._monitors[0].improved(value, self.baseline)
        )

    def _reason(self) -> str:
        names = " and ".join(monitor.name for monitor in self._monitors)
        epochs = f"{self.wait} epoch{'' if self.wait == 1 else 's'}"
        if not self._beats_baseline(self._bests[0]):
            return f"{names} has not improved on the baseline {self.baseline} in {epochs}"
        return f"{names} {'has' if len(self._monitors) == 1 else 'have'} not improved for {epochs}"

    def describe_progress(self) -> str:
        """Return the epochs without improvement, for the progress bar."""
        return f"{self.wait}/{self.patience} without improvement" if self.wait else ""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Restore the weights of the best epoch if requested."""
        if self.verbose and self.stopped_epoch:
            print_line(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.best_weights is None:
            return
        if self.verbose:
            print_line(f"Restoring model weights from the end of the best epoch: {self.best_epoch + 1}.")
        self.model.set_weights(self.best_weights)

    def state_dict(self) -> State:
        """Return the best values and weights, and the counters."""
        return {
            "wait": self.wait,
            "stopped_epoch": self.stopped_epoch,
            "best_epoch": self.best_epoch,
            "best_weights": self.best_weights,
            "bests": {monitor.name: best for monitor, best in zip(self._monitors, self._bests, strict=True)},
        }

    def load_state_dict(self, state: State) -> None:
        """Restore the state of `state_dict`; raise StateError if it is invalid."""
        nothing = type(None)
        wait, stopped_epoch, best_epoch, best_weights, bests = validate_state(
            state, wait=int, stopped_epoch=int, best_epoch=int, best_weights=(list, nothing), bests=dict
        )
        known = {name: best for name, best in bests.items() if isinstance(best, (int, float))}
        self._bests = [known.get(monitor.name) for monitor in self._monitors]
        self.wait, self.stopped_epoch = wait, stopped_epoch
        self.best_epoch, self.best_weights = best_epoch, validate_weights(best_weights, self.model)


def _monitors(names: str | Sequence[str], modes: str | Sequence[str], min_delta: float) -> list[Monitor]:
    listed = [names] if isinstance(names, str) or not isinstance(names, Iterable) else list(names)
    if not listed:
        raise ValueError(f"monitor must name at least one metric, got {names!r}")
    if len(set(listed)) < len(listed):
        raise ValueError(f"monitor must name each metric once, got {names!r}")
    each: list[Any] = list(modes) if isinstance(modes, list | tuple) else [modes] * len(listed)
    if len(each) != len(listed):
        raise ValueError(
            f"mode must be one word or one for each of the {len(listed)} monitors, got {modes!r}"
        )
    return [Monitor(name, mode, min_delta) for name, mode in zip(listed, each, strict=True)]
