"""F1Score: the harmonic mean of precision and recall."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onstage.model import Array
from onstage.nn import target_shapes
from onstage.nn.metrics.base import Metric
from onstage.validation import validate_choice, validate_optional_float

# As in Keras: a class that never occurs scores 0, not 0/0.
EPSILON = 1e-7


class F1Score(Metric):
    """Harmonic mean of precision and recall, averaged over classes.

    Targets are one-hot or multi-hot; targets and outputs have shape
    ``(n, classes)``.

    Parameters
    ----------
    average
        ``"macro"`` for the mean over classes, ``"weighted"`` for their mean
        weighted by frequency, ``"micro"`` for the score of all classes counted
        together. (Keras's None, a value per class, doesn't fit the logs.)
    threshold
        Outputs above it are positive predictions; in (0, 1]. By default the
        largest output of each row is.

    Examples
    --------
    >>> metric = F1Score()
    >>> metric.update_state([[1, 0], [0, 1]], [[0.9, 0.1], [0.2, 0.8]])
    >>> round(metric.result(), 4)
    1.0
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
        """Set the number of classes; raise ValueError unless outputs are 2D."""
        if len(output_shape) != 2 or output_shape[1] is None:
            raise ValueError(f"{self.name} must be given outputs of shape (n, classes), got {output_shape}")
        self._classes = output_shape[1]

    def state_shape(self) -> tuple[int, ...]:
        """Return the shape of a state: true and false positives, false negatives per class."""
        if self._classes is None:
            raise ValueError(
                f"{self.name} must be built before its state is made; call build(output_shape) first"
            )
        return (3, self._classes)

    def update(self, state: Array, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> None:
        """Add a batch to a state, in place; see `Metric.update`."""
        y_true, y_pred = target_shapes.match_shapes(self.name, y_true, y_pred)
        actual, predicted = y_true.astype(np.float64), self._predicted(y_pred)
        weight = (
            1.0 if sample_weight is None else target_shapes.broadcast_weights(sample_weight, y_true.shape)
        )
        state += [
            (weight * cases).sum(0)
            for cases in (actual * predicted, (1 - actual) * predicted, actual * ~predicted)
        ]

    def _predicted(self, y_pred: Array) -> Array:
        if self.threshold is not None:
            return np.greater(y_pred, self.threshold)
        return np.asarray((y_pred >= y_pred.max(axis=-1, keepdims=True)) & (np.abs(y_pred) > 1e-9))

    def aggregate(self, state: Array) -> float:
        """Return the score for a state."""
        true_positives, false_positives, false_negatives = (
            state.sum(axis=1, keepdims=True) if self.average == "micro" else state
        )
        precision = true_positives / (true_positives + false_positives + EPSILON)
        recall = true_positives / (true_positives + false_negatives + EPSILON)
        score = 2.0 * precision * recall / (precision + recall + EPSILON)
        if self.average == "weighted":
            occurs = true_positives + false_negatives
            return float((score * occurs).sum() / (occurs.sum() + EPSILON))
        return float(score.mean())

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"average": self.average, "threshold": self.threshold, "name": self.name}
