"""Totals: the loss and the metrics of one stage, summed up batch by batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from onstage.errors import StateError
from onstage.logs import Logs, PendingLogs
from onstage.model import Array, State
from onstage.nn.metrics import Metric


class NamedMetric:
    """A metric under its name in the logs; `weighted` ones see sample weights."""

    __slots__ = ("metric", "name", "weighted")

    def __init__(self, name: str, metric: Metric, weighted: bool) -> None:
        self.name = name
        self.metric = metric
        self.weighted = weighted


class MetricTotals:
    """The loss and the metrics of one stage; implements `onstage.model.Totals`.

    All sums lie in one float64 array: that of the losses, the number of
    samples, then each metric's state. A batch is summed up on its own and then
    added, so its own values stay at hand.
    """

    def __init__(self, metrics: Sequence[NamedMetric]) -> None:
        states = [each.metric.new_state() for each in metrics]
        self._metrics = metrics
        self._shapes = [state.shape for state in states]
        self._ends = np.cumsum([2, *(state.size for state in states)])
        self._sums = np.zeros(int(self._ends[-1]))
        self._batch = np.zeros_like(self._sums)
        self._updates = [
            (each.metric.update, state, each.weighted)
            for each, state in zip(metrics, self._states(self._batch), strict=True)
        ]

    def add(self, loss: float, y_true: Array, y_pred: Array, weights: Array | None) -> None:
        """Add a batch.

        Parameters
        ----------
        loss
            The mean over the batch.
        weights
            The samples' weights, for the metrics that want them.
        """
        samples = len(y_pred)
        batch = self._batch
        batch.fill(0.0)
        batch[0] = loss * samples
        batch[1] = samples
        for update, state, weighted in self._updates:
            update(state, y_true, y_pred, weights if weighted else None)
        np.add(self._sums, batch, self._sums)

    def logs(self) -> Logs:
        """Give the values since the stage began, loss first; a snapshot."""
        sums = self._sums.copy()
        return PendingLogs(lambda: self._read(sums))

    def batch_logs(self) -> dict[str, float]:
        """Give the last batch's own values."""
        return self._read(self._batch)

    def _read(self, sums: Array) -> dict[str, float]:
        samples = float(sums[1])
        values = {"loss": float(sums[0]) / samples if samples else 0.0}
        for each, state in zip(self._metrics, self._states(sums), strict=True):
            values[each.name] = float(each.metric.result(state))
        return values

    def _states(self, sums: Array) -> list[Array]:
        return [
            sums[start:end].reshape(shape)
            for start, end, shape in zip(self._ends[:-1], self._ends[1:], self._shapes, strict=True)
        ]

    def state_dict(self) -> State:
        """Give what a resumed run needs to continue in mid-epoch."""
        return {"sums": self._sums.copy()}

    def load_state_dict(self, state: State) -> None:
        """Restore what `state_dict` gave.

        Raises
        ------
        StateError
            It was saved with other metrics.
        """
        sums = state.get("sums") if isinstance(state, Mapping) else None
        if not isinstance(sums, np.ndarray) or sums.shape != self._sums.shape or sums.dtype.kind != "f":
            raise StateError(
                f"the saved sums of loss and metrics must be {self._sums.size} numbers; "
                "compile the model with the metrics it was saved with"
            )
        self._sums[:] = sums
