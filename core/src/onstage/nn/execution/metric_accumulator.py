"""NumpyMetricAccumulator: the loss and the metrics of one stage, summed up batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from onstage.errors import StateError
from onstage.logs import LazyLogs, Logs
from onstage.model import Array, State
from onstage.nn.losses import Loss
from onstage.nn.metrics import LossMetric, Metric

Sums: TypeAlias = list[Any]
"""``[loss * samples, samples]``, then each metric's state: all of them only add up."""


ValuesOf: TypeAlias = Callable[[Loss, Array], Array]
"""Computes a loss for each sample, from y; see `plan.Plan.values_of`."""


class NamedMetric(NamedTuple):
    """A metric under its name in the logs."""

    name: str
    metric: Metric
    weighted: bool
    """Whether it heeds sample weights."""


class NumpyMetricAccumulator:
    """The loss and the metrics of one stage; implements `onstage.model.Totals`.

    The sums of a mean are a list of two numbers, which Python adds to faster
    than numpy does to an array of two.
    """

    def __init__(self, metrics: Sequence[NamedMetric]) -> None:
        self._metrics = metrics
        self._loss = [0.0, 0.0]
        self._states = [_empty(each.metric) for each in metrics]
        self._updates = [
            (_update(each.metric), state, each.weighted)
            for each, state in zip(metrics, self._states, strict=True)
        ]
        self._before = self._sums()

    def add(
        self, loss: float, y_true: Array, y_pred: Array, weights: Array | None, values_of: ValuesOf
    ) -> None:
        """Add a batch.

        Parameters
        ----------
        loss
            The mean over the batch.
        weights
            The samples' weights, for the metrics that want them.
        values_of
            Computes a loss of `y_pred` for each sample, for the metrics that
            are losses.
        """
        self._before = self._sums()
        samples = len(y_pred)
        self._loss[0] += loss * samples
        self._loss[1] += samples
        for update, state, weighted in self._updates:
            update(state, y_true, y_pred, weights if weighted else None, values_of)

    def logs(self) -> Logs:
        """Give the values since the stage began, loss first; a snapshot."""
        sums = self._sums()
        return LazyLogs(lambda: self._read(sums))

    def batch_logs(self) -> dict[str, float]:
        """Give the last batch's own values."""
        return self._read(
            [np.subtract(now, before) for now, before in zip(self._sums(), self._before, strict=True)]
        )

    def _sums(self) -> Sums:
        return [self._loss.copy(), *[state.copy() for state in self._states]]

    def _read(self, sums: Sums) -> dict[str, float]:
        (loss, samples), *states = sums
        values = {"loss": float(loss / samples) if samples else 0.0}
        for each, state in zip(self._metrics, states, strict=True):
            values[each.name] = float(each.metric.result(np.asarray(state)))
        return values

    def state_dict(self) -> State:
        """Give what a resumed run needs to continue in mid-epoch."""
        return {"sums": np.concatenate([np.ravel(each) for each in self._sums()])}

    def load_state_dict(self, state: State) -> None:
        """Restore what `state_dict` gave.

        Raises
        ------
        StateError
            It was saved with other metrics.
        """
        saved = state.get("sums") if isinstance(state, Mapping) else None
        size = sum(np.size(each) for each in self._sums())
        if not isinstance(saved, np.ndarray) or saved.shape != (size,) or saved.dtype.kind != "f":
            raise StateError(
                f"the saved sums of loss and metrics must be {size} numbers; "
                "compile the model with the metrics it was saved with"
            )
        for own in (self._loss, *self._states):
            part, saved = saved[: np.size(own)], saved[np.size(own) :]
            own[:] = part.tolist() if isinstance(own, list) else part.reshape(own.shape)


def _update(metric: Metric) -> Callable[[Any, Array, Array, Array | None, ValuesOf], None]:
    # A subclass may compute its values in its own way.
    if type(metric) is LossMetric:
        return lambda state, y_true, y_pred, weights, values_of: metric.add_values(
            state, values_of(metric.loss, y_true), weights
        )
    return lambda state, y_true, y_pred, weights, values_of: metric.update(state, y_true, y_pred, weights)


def _empty(metric: Metric) -> Any:
    state = metric.new_state()
    return state.tolist() if state.shape == (2,) else state
