"""R2Score: the part of the targets' variance that the outputs explain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onstage.model import Array
from onstage.nn import target_shapes
from onstage.nn.metrics.base import Metric
from onstage.validation import validate_choice


class R2Score(Metric):
    """``1 - sum((y_true - y_pred)²) / sum((y_true - mean(y_true))²)``, averaged over outputs.

    1 for exact outputs, 0 for the targets' mean, negative for worse; 0 for an
    output whose targets are all equal, as in Keras. Targets and outputs have
    shape ``(n, outputs)``.

    Parameters
    ----------
    class_aggregation
        ``"uniform_average"`` for the mean over outputs,
        ``"variance_weighted_average"`` for their mean weighted by the variance
        of the targets. (Keras's None, a value per output, doesn't fit the logs.)

    Examples
    --------
    >>> metric = R2Score()
    >>> metric.update_state([[1.0], [4.0], [3.0]], [[2.0], [4.0], [4.0]])
    >>> round(metric.result(), 4)
    0.5714
    """

    direction = "max"
    counts_objects = False

    def __init__(self, class_aggregation: str = "uniform_average", name: str | None = None) -> None:
        super().__init__(name)
        allowed = ("uniform_average", "variance_weighted_average")
        self.class_aggregation = validate_choice("class_aggregation", class_aggregation, allowed)
        self._outputs: int | None = None

    def build(self, output_shape: Sequence[int | None]) -> None:
        """Set the number of outputs; raise ValueError unless they are 2D."""
        if len(output_shape) != 2 or output_shape[1] is None:
            raise ValueError(f"{self.name} must be given outputs of shape (n, outputs), got {output_shape}")
        self._outputs = output_shape[1]

    def state_shape(self) -> tuple[int, ...]:
        """Return the shape of a state: weights, and sums of targets, their squares and the errors'."""
        if self._outputs is None:
            raise ValueError(
                f"{self.name} must be built before its state is made; call build(output_shape) first"
            )
        return (4, self._outputs)

    def update(self, state: Array, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> None:
        """Add a batch to a state, in place; see `Metric.update`."""
        y_true, y_pred = target_shapes.match_shapes(self.name, y_true, y_pred)
        y, error = y_true.astype(np.float64), np.subtract(y_true, y_pred, dtype=np.float64)
        weight = np.ones(1) if sample_weight is None else sample_weight
        weight = np.broadcast_to(weight.reshape(-1, 1), y.shape)
        state += [weight.sum(0), (weight * y).sum(0), (weight * y * y).sum(0), (weight * error**2).sum(0)]

    def aggregate(self, state: Array) -> float:
        """Return the score for a state; 0 if nothing was added."""
        weight, total, squares, errors = state
        if not weight.all():
            return 0.0
        variation = squares - total * total / weight
        scores = np.zeros_like(errors)
        np.divide(variation - errors, variation, scores, where=variation != 0)
        if self.class_aggregation == "uniform_average":
            return float(scores.mean())
        return float((scores * variation).sum() / variation.sum()) if variation.any() else 0.0

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"class_aggregation": self.class_aggregation, "name": self.name}
