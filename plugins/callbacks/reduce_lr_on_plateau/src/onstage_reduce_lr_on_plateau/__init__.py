"""ReduceLROnPlateau: lowers the learning rate when a metric stands still."""

from __future__ import annotations

from typing import ClassVar

from onstage import Callback, Logs
from onstage.callbacks.learning_rate import check_settable
from onstage.callbacks.monitor import Monitor
from onstage.model import State
from onstage.validation import validate_float, validate_int, validate_state, validate_verbosity

__all__ = ["ReduceLROnPlateau"]


class ReduceLROnPlateau(Callback):
    """Multiply the learning rate by a factor when a metric stands still.

    Adds ``learning_rate`` to the logs of each epoch: the rate that it ran with.

    Parameters
    ----------
    monitor
        The metric to watch.
    factor
        In (0, 1).
    patience
        Epochs without improvement before a reduction, >= 0; 0 and 1 are the same.
    verbose
        1 prints each reduction.
    mode
        ``"min"``, ``"max"`` or ``"auto"``.
    min_delta
        A value must be better by more than this to count, >= 0.
    cooldown
        Epochs after a reduction that don't count towards patience, >= 0.
    min_lr
        The rate is not set lower than this, >= 0.

    Attributes
    ----------
    best
        The best value so far, None before there is one.
    wait
        Epochs since the last improvement or reduction.
    cooldown_counter
        Epochs of cooldown that are left.

    Raises
    ------
    TypeError, ValueError
        An argument is of a wrong kind or out of its range; at the beginning of
        the training, when the monitor is unknown, or the optimizer follows a
        schedule.
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
        self._reset()

    def _reset(self) -> None:
        self.best: float | None = None
        self.wait = 0
        self.cooldown_counter = 0

    def on_train_begin(self) -> None:
        """Forget an earlier training, and check the monitor and the optimizer."""
        self._reset()
        self._monitor.resolve(self)
        check_settable(self)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Compare with the best so far; reduce the rate when patience is over."""
        logs = {} if logs is None else logs
        logs["learning_rate"] = float(self.model.learning_rate)
        value = self._monitor.read(logs)
        if value is None:
            return
        cooling = self.cooldown_counter > 0
        if cooling:
            self.cooldown_counter -= 1
        if self._monitor.improved(value, self.best):
            self.best = value
            self.wait = 0
        elif not cooling:
            self.wait += 1
            if self.wait >= self.patience:
                self._reduce(epoch)

    def _reduce(self, epoch: int) -> None:
        rate = float(self.model.learning_rate)
        if rate <= self.min_lr:
            return
        new = max(rate * self.factor, self.min_lr)
        self.model.learning_rate = new
        self.cooldown_counter = self.cooldown
        self.wait = 0
        if self.verbose:
            # A line break first: a progress bar may stand on the line.
            print(f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to {new:.6g}.")

    def state_dict(self) -> State:
        """Give the best value, and how long ago it was."""
        return {"best": self.best, "wait": self.wait, "cooldown_counter": self.cooldown_counter}

    def load_state_dict(self, state: State) -> None:
        """Continue from what `state_dict` gave; raises StateError for anything else."""
        self.best, self.wait, self.cooldown_counter = validate_state(
            state, best=(float, type(None)), wait=int, cooldown_counter=int
        )
