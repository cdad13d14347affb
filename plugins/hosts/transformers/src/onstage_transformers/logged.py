"""The metrics that a Trainer reports to its callbacks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onstage.hosts import split_metrics
from onstage.logs import Logs

_NOT_METRICS = ("_runtime", "_per_second", "_preparation_time", "_compilation_time")


class LoggedLoss:
    """Mean of the losses that a Trainer logged in an epoch, each of several steps.

    Parameters
    ----------
    step
        Number of steps before the first one.
    """

    def __init__(self, step: int) -> None:
        self._step = step
        self._total, self._steps = 0.0, 0

    def is_due(self, step: int) -> bool:
        """Return whether steps were made after the last loss."""
        return step > self._step

    def add(self, loss: float, step: int) -> None:
        """Add the mean loss of the steps since the last one."""
        steps, self._step = step - self._step, step
        self._total += loss * steps
        self._steps += steps

    def take(self) -> Logs:
        """Return the mean and begin anew; ``{}`` if nothing was logged."""
        logs = {"loss": self._total / self._steps} if self._steps else {}
        self._total, self._steps = 0.0, 0
        return logs


def of_evaluation(metrics: Mapping[str, Any]) -> Logs:
    """Return the metrics of an evaluation without ``eval_``, and without its timings."""
    _, logs = split_metrics(
        {
            name: value
            for name, value in metrics.items()
            if isinstance(value, int | float) and not name.endswith(_NOT_METRICS)
        }
    )
    return logs
