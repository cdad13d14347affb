"""How far outputs are from targets."""

from __future__ import annotations

import math

import numpy as np

from onstage.model import Array
from onstage.nn import target_shapes
from onstage.nn.metrics.base import MeanMetric


class MeanSquaredError(MeanMetric):
    """The mean of ``(y_pred - y_true)²``."""

    direction = "min"
    counts_objects = False

    def values(self, y_true: Array, y_pred: Array) -> Array:
        """Give the squared differences, in the shape of the outputs."""
        y_true, y_pred = target_shapes.pair(self.name, y_true, y_pred)
        return np.square(np.subtract(y_pred, y_true, dtype=y_pred.dtype))


class RootMeanSquaredError(MeanSquaredError):
    """The root of the mean of ``(y_pred - y_true)²``, in the targets' unit."""

    def aggregate(self, state: Array) -> float:
        """Give the root of the mean of all that was added to a state."""
        return math.sqrt(super().aggregate(state))


class MeanAbsoluteError(MeanMetric):
    """The mean of ``|y_pred - y_true|``."""

    direction = "min"
    counts_objects = False

    def values(self, y_true: Array, y_pred: Array) -> Array:
        """Give the absolute differences, in the shape of the outputs."""
        y_true, y_pred = target_shapes.pair(self.name, y_true, y_pred)
        return np.abs(np.subtract(y_pred, y_true, dtype=y_pred.dtype))
