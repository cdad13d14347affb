"""F1Score: precision and recall in one number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onstage.model import Array
from onstage.nn import target_shapes
from onstage.nn.metrics.base import Metric
from onstage.validation import validate_choice, validate_optional_float

# Keras's: a class that never occurs gets 0, not 0/0.
EPSILON = 1e-7


class F1Score(Metric):
    """The harmonic mean of precision and recall, over classes.

    Targets are one-hot, or several ones a row; both of shape ``(n, classes)``.

    Parameters
    ----------
    average
        How the classes come into one number: ``"macro"`` by their plain mean,
        ``"weighted"`` by how often each occurs, ``"micro"`` by counting all as
        if they were one. (Keras's None, a value for each class, has no place
        in logs.)
    threshold
        Outputs above it are positive predictions; in (0, 1]. If not given,
        the greatest of each row.
    """

    direction = "max"
    counts_objects = False

    def __init__(
        self, average: str = "macro", threshold: float | None = None, name: str | None = None
    ) -> None:
        super().__init__(name)
        self.average = validate_choice("average", average, ("macro", "micro", "weighted"))
        self.threshold = validate_optional_float("threshold", threshold, 0, 1, exclude={0})
        self._classes: int | None = None

    def build(self, output_shape: Sequence[int | None]) -> None:
        """Learn the number of classes; raises ValueError unless outputs are rows."""
        if len(output_shape) != 2 or output_shape[1] is None:
            raise ValueError(f"{self.name} must be given outputs of shape (n, classes), got {output_shape}")
        self._classes = output_shape[1]

    def state_shape(self) -> tuple[int, ...]:
        """Give the shape of a state: hits, false alarms and misses of each class."""
        if self._classes is None:
            raise ValueError(f"{self.name} must know the number of classes; call build(output_shape) first")
        return (3, self._classes)

    def update(self, state: Array, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> None:
        """Add a batch to a state, in place; see `Metric.update`."""
        y_true, y_pred = target_shapes.pair(self.name, y_true, y_pred)
        actual, alarm = y_true.astype(np.float64), self._alarms(y_pred)
        weight = 1.0 if sample_weight is None else target_shapes.spread(sample_weight, y_true.shape)
        state += [
            (weight * cases).sum(0) for cases in (actual * alarm, (1 - actual) * alarm, actual * ~alarm)
        ]

    def _alarms(self, y_pred: Array) -> Array:
        if self.threshold is not None:
            return np.greater(y_pred, self.threshold)
        return np.asarray((y_pred >= y_pred.max(axis=-1, keepdims=True)) & (np.abs(y_pred) > 1e-9))

    def aggregate(self, state: Array) -> float:
        """Give the score of all that was added to a state."""
        hits, alarms, misses = state.sum(axis=1, keepdims=True) if self.average == "micro" else state
        precision = hits / (hits + alarms + EPSILON)
        recall = hits / (hits + misses + EPSILON)
        score = 2.0 * precision * recall / (precision + recall + EPSILON)
        if self.average == "weighted":
            occurs = hits + misses
            return float((score * occurs).sum() / (occurs.sum() + EPSILON))
        return float(score.mean())

    def get_config(self) -> dict[str, Any]:
        """Give the constructor's arguments."""
        return {"average": self.average, "threshold": self.threshold, "name": self.name}
