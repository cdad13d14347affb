"""NumpyMetricAccumulator: sums of a stage's loss and metrics over its batches."""

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
"""``[loss * samples, samples]``, then each metric's state; all are additive."""

SampleLosses: TypeAlias = Callable[[Loss, Array], Array]
"""Computes each sample's loss from y; see `plan.ExecutionPlan.sample_losses`."""


_Update: TypeAlias = Callable[[Any, Array, Array, Array | None, SampleLosses], None]

_WAITING_BYTES = 2**18
"""Size of the predictions that may wait to be measured together."""


class NamedMetric(NamedTuple):
    """A metric under its name in the logs."""

    name: str
    metric: Metric
    weighted: bool
    """Whether it uses sample weights."""


class NumpyMetricAccumulator:
    """Sums of one stage's loss and metrics.

    Implements `onstage.model.MetricAccumulator`. The state of a mean is a list
    of two numbers: Python adds to it faster than numpy adds to an array of two.
    """

    def __init__(self, metrics: Sequence[NamedMetric]) -> None:
        self._metrics = metrics
        self._loss = [0.0, 0.0]
        self._states = [_new_state(each.metric) for each in metrics]
        self._updates: list[tuple[int, _Update, bool]] = []
        self._joined: list[tuple[int, Metric]] = []
        for number, each in enumerate(metrics):
            if vars(type(each.metric)).get("joins_batches") and not each.weighted:
                self._joined.append((number, each.metric))
            else:
                self._updates.append((number, _bind_update(each.metric), each.weighted))
        self._waiting: list[tuple[Array, Array]] = []
        self._room = 0
        self._loss_before = self._loss.copy()
        self._states_before = [state.copy() for state in self._states]

    def add(
        self, loss: float, y_true: Array, y_pred: Array, weights: Array | None, sample_losses: SampleLosses
    ) -> None:
        """Add a batch.

        Parameters
        ----------
        loss
            Mean over the batch.
        weights
            Sample weights, for the weighted metrics.
        sample_losses
            Computes each sample's loss of `y_pred`, for metrics that are
            losses.
        """
        samples = len(y_pred)
        self._loss_before = self._loss.copy()
        self._loss[0] += loss * samples
        self._loss[1] += samples
        for number, update, weighted in self._updates:
            state = self._states[number]
            self._states_before[number] = state.copy()
            update(state, y_true, y_pred, weights if weighted else None, sample_losses)
        if self._joined:
            self._waiting.append((y_true.copy(), y_pred.copy()))
            self._room -= y_pred.nbytes
            # At once for the first batch, whose targets may not fit the metric.
            if self._room < 0:
                self._measure_waiting()

    def _measure_waiting(self) -> None:
        """Add the batches that wait to the metrics that join them: the last one alone, the others as one.

        Many small batches as one take a fraction of the time. They wait until
        somebody reads the values, or they take 256 KiB.
        """
        if not self._waiting:
            return
        *earlier, last = self._waiting
        self._waiting, self._room = [], _WAITING_BYTES
        for number, metric in self._joined:
            state = self._states[number]
            if earlier:
                metric.update(state, *map(np.concatenate, zip(*earlier, strict=True)))
            self._states_before[number] = state.copy()
            metric.update(state, *last)

    def reset(self, name: str | None = None) -> None:
        """Forget the batches so far, of one metric or by default of all."""
        self._measure_waiting()
        names = ["loss", *[each.name for each in self._metrics]]
        for own, sums in zip(names, [self._loss, *self._states], strict=True):
            if name in (None, own):
                sums[:] = [0.0] * 2 if isinstance(sums, list) else np.zeros_like(sums)
        self._loss_before = self._loss.copy()
        self._states_before = [state.copy() for state in self._states]

    def logs(self) -> Logs:
        """Return a snapshot of the values since the stage began, loss first."""
        sums = self._sums()
        return LazyLogs(lambda: self._read(sums))

    def batch_logs(self) -> dict[str, float]:
        """Return the values of the last batch alone."""
        sums = self._sums()
        before = [self._loss_before, *self._states_before]
        return self._read([np.subtract(*pair) for pair in zip(sums, before, strict=True)])

    def _sums(self) -> Sums:
        self._measure_waiting()
        return [self._loss.copy(), *[state.copy() for state in self._states]]

    def _read(self, sums: Sums) -> dict[str, float]:
        (loss, samples), *states = sums
        values = {"loss": float(loss / samples) if samples else 0.0}
        for each, state in zip(self._metrics, states, strict=True):
            values[each.name] = float(each.metric.result(np.asarray(state)))
        return values

    def state_dict(self) -> State:
        """Return the state that a resumed run needs to continue mid-epoch."""
        return {"sums": np.concatenate([np.ravel(each) for each in self._sums()])}

    def load_state_dict(self, state: State) -> None:
        """Restore a state from `state_dict`.

        Raises
        ------
        StateError
            If it was saved with other metrics.
        """
        saved = state.get("sums") if isinstance(state, Mapping) else None
        size = sum(np.size(each) for each in self._sums())
        if not isinstance(saved, np.ndarray) or saved.shape != (size,) or saved.dtype.kind != "f":
            raise StateError(
                f"the saved sums of loss and metrics must be {size} floats, got {_describe(saved)}; "
                "compile the model with the metrics it was saved with"
            )
        for own in (self._loss, *self._states):  # `_sums` left no batch waiting
            part, saved = saved[: np.size(own)], saved[np.size(own) :]
            own[:] = part.tolist() if isinstance(own, list) else part.reshape(own.shape)


def _bind_update(metric: Metric) -> _Update:
    # A subclass may compute its values differently.
    if isinstance(metric, LossMetric) and type(metric).values is LossMetric.values:
        return lambda state, y_true, y_pred, weights, sample_losses: metric.add_values(
            state, sample_losses(metric.loss, y_true), weights
        )
    return lambda state, y_true, y_pred, weights, sample_losses: metric.update(state, y_true, y_pred, weights)


def _describe(saved: object) -> str:
    if isinstance(saved, np.ndarray):
        return f"an array of shape {saved.shape} and {saved.dtype}"
    return type(saved).__name__


def _new_state(metric: Metric) -> Any:
    state = metric.new_state()
    return state.tolist() if state.shape == (2,) else state
