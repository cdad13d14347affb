"""Elementwise losses, averaged over the last axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from onstage.model import Array
from onstage.nn.losses.base import ElementLoss
from onstage.validation import validate_float


class MeanSquaredError(ElementLoss):
    """mean((y - p)²)."""

    def element(self, target: Array, predictions: Array, values: Array, slopes: Array) -> None:
        """Write each element's loss and its derivative."""
        np.subtract(predictions, target, slopes)
        np.multiply(slopes, slopes, values)
        np.add(slopes, slopes, slopes)


class MeanAbsoluteError(ElementLoss):
    """mean(|y - p|); the derivative at y = p is 0."""

    def element(self, target: Array, predictions: Array, values: Array, slopes: Array) -> None:
        """Write each element's loss and its derivative."""
        np.subtract(predictions, target, slopes)
        np.absolute(slopes, values)
        np.sign(slopes, slopes)


class Huber(ElementLoss):
    """Half the squared error up to `delta`, linear beyond.

    Parameters
    ----------
    delta
        Absolute error at which the loss becomes linear, > 0.

    References
    ----------
    Huber: *Robust Estimation of a Location Parameter* (1964).
    """

    def __init__(self, delta: float = 1.0) -> None:
        self.delta = validate_float("delta", delta, 0, exclude={0})

    def element(self, target: Array, predictions: Array, values: Array, slopes: Array) -> None:
        """Write each element's loss and its derivative."""
        # With c the error clipped to ±delta, the loss is c * (error - c / 2).
        np.subtract(predictions, target, values)
        np.clip(values, -self.delta, self.delta, slopes)
        values -= 0.5 * slopes
        np.multiply(values, slopes, values)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"delta": self.delta}


class Hinge(ElementLoss):
    """mean(max(1 - y p, 0)), where y is -1 or 1; if y holds only 0 and 1, 0 means -1."""

    def element(self, target: Array, predictions: Array, values: Array, slopes: Array) -> None:
        """Write each element's loss and its derivative."""
        signs = 2 * target - 1 if np.all((target == 0) | (target == 1)) else target
        np.multiply(signs, predictions, values)
        np.subtract(1, values, values)
        np.maximum(values, 0, out=values)
        np.multiply(-signs, values > 0, slopes)
