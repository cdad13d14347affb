"""Optuna: report a metric to a trial, and prune it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from onstage import Callback, Logs
from onstage.callbacks.monitor import Monitor
from onstage.validation import validate_bool

if TYPE_CHECKING:  # imported when a trial is pruned: training does not need it
    from optuna import Trial

__all__ = ["Optuna"]


class Optuna(Callback):
    """Report a metric to an Optuna trial in every epoch, and prune the trial.

    The training stops as soon as the study's pruner advises it, with the reason
    in the History, and ``fit`` raises ``optuna.TrialPruned``, so that
    ``study.optimize`` marks the trial as pruned. The steps are the epochs, from 0.

    Parameters
    ----------
    trial
        The trial, the argument of the objective.
    monitor
        Metric to report, ``val_loss`` for example.
    raise_pruned
        Whether to raise TrialPruned at the end of the training. If not, the
        objective raises it itself, if `pruned`.

    Attributes
    ----------
    pruned
        Whether the trial was pruned.

    Notes
    -----
    TrialPruned is raised after all callbacks have acted and closed their files,
    not if another error ends the training. In a run of several processes, rank
    zero reports and raises; the others return normally.

    Examples
    --------
    >>> def objective(trial):
    ...     rate = trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True)
    ...     history = train(rate, callbacks=[Optuna(trial, "val_loss")])
    ...     return history.history["val_loss"][-1]
    """

    on_error: Literal["raise", "disable", "retry"] = "raise"
    ranks: ClassVar[Literal["zero", "all"]] = "zero"
    adds_logs: ClassVar[tuple[str, ...] | None] = ()

    def __init__(self, trial: Trial, monitor: str = "val_loss", *, raise_pruned: bool = True) -> None:
        for method in ("report", "should_prune"):
            if not callable(getattr(trial, method, None)):
                raise TypeError(
                    "trial must be an optuna.Trial, the argument of the objective, "
                    f"got {type(trial).__name__}; write Optuna(trial)"
                )
        self.trial = trial
        self.monitor = monitor
        self.raise_pruned = validate_bool("raise_pruned", raise_pruned)
        self._monitor = Monitor(monitor)
        self.pruned = False

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Check the monitor against the metrics, and forget an earlier training."""
        self.pruned = False
        self._monitor = Monitor(self.monitor, self._mode())
        self._monitor.resolve(self)

    def _mode(self) -> str:
        """Return the direction of the study, which decides what is pruned."""
        direction = getattr(getattr(self.trial, "study", None), "direction", None)
        return "max" if getattr(direction, "name", "") == "MAXIMIZE" else "min"

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Report the monitor, and stop if the trial is to be pruned."""
        value = self._monitor.read(logs)
        if value is None:
            return
        self.trial.report(value, epoch)
        if self.trial.should_prune():
            self.pruned = True
            self.stop(f"trial {self.trial.number} was pruned at {self.monitor} {value:.6g}")

    def on_exception(self, exception: BaseException) -> None:
        """Leave the trial to the error."""
        self.pruned = False

    def on_teardown(self) -> None:
        """Raise TrialPruned if the trial was pruned; the run passes it on last."""
        if self.pruned and self.raise_pruned and self.run is not None:
            from optuna import TrialPruned

            raise TrialPruned(self.run.stop_reason)
