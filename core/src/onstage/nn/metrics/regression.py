"""Regression metrics."""

from __future__ import annotations

import math

import numpy as np

from onstage.model import Array
from onstage.nn import target_shapes
from onstage.nn.metrics.base import MeanMetric


class MeanSquaredError(MeanMetric):
    """Mean of ``(y_pred - y_true)²``."""

    direction = "min"
    counts_objects = False

    def values(self, y_true: Array, y_pred: Array) -> Array:
        """Return the squared differences, in the shape of the outputs."""
        y_true, y_pred = target_shapes.match_shapes(self.name, y_true, y_pred)
        return np.square(np.subtract(y_pred, y_true, dtype=y_pred.dtype))


class RootMeanSquaredError(MeanSquaredError):
    """Square root of the mean of ``(y_pred - y_true)²``, in the targets' unit.

    Examples
    --------
    >>> metric = RootMeanSquaredError()
    >>> metric.update_state([1.0, 2.0], [1.0, 4.0])
    >>> round(metric.result(), 4)
    1.4142
    """

    def aggregate(self, state: Array) -> float:
        """Return the root of the mean for a state."""
        return math.sqrt(super().aggregate(state))


class MeanAbsoluteError(MeanMetric):
    """Mean of ``|y_pred - y_true|``."""

    direction = "min"
    counts_objects = False

    def values(self, y_true: Array, y_pred: Array) -> Array:
        """Return the absolute differences, in the shape of the outputs."""
        y_true, y_pred = target_shapes.match_shapes(self.name, y_true, y_pred)
        return np.abs(np.subtract(y_pred, y_true, dtype=y_pred.dtype))
