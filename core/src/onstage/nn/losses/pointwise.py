"""Elementwise losses, averaged over the last axis."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from onstage.model import Array
from onstage.nn.losses.base import EPSILON, ElementLoss
from onstage.validation import validate_float


class MeanSquaredError(ElementLoss):
    """mean((y - p)²)."""

    def element(self, target: Array, predictions: Array, values: Array, slopes: Array) -> None:
        """Write each element's loss and its derivative."""
        np.subtract(predictions, target, slopes)
        np.multiply(slopes, slopes, values)
        np.add(slopes, slopes, slopes)


class MeanAbsoluteError(ElementLoss):
    """``mean(|y - p|)``; the derivative at y = p is 0."""

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


class MeanAbsolutePercentageError(ElementLoss):
    """``100 mean(|y - p| / |y|)``; the derivative at y = p is 0.

    ``|y|`` is at least 1e-7, as in Keras.
    """

    def element(self, target: Array, predictions: Array, values: Array, slopes: Array) -> None:
        """Write each element's loss and its derivative."""
        scale = 100 / np.maximum(np.abs(target), EPSILON)
        np.subtract(predictions, target, slopes)
        np.multiply(np.absolute(slopes, values), scale, values)
        np.multiply(np.sign(slopes, slopes), scale, slopes)


class MeanSquaredLogarithmicError(ElementLoss):
    """mean((log(1 + y) - log(1 + p))²).

    y and p are at least 1e-7, as in Keras; smaller predictions have no
    gradient.
    """

    def element(self, target: Array, predictions: Array, values: Array, slopes: Array) -> None:
        """Write each element's loss and its derivative."""
        bounded = np.maximum(predictions, EPSILON)
        difference = np.log1p(bounded) - np.log1p(np.maximum(target, EPSILON))
        np.multiply(difference, difference, values)
        np.divide(2 * difference, 1 + bounded, slopes)
        np.multiply(slopes, predictions >= EPSILON, slopes)


class Poisson(ElementLoss):
    """mean(p - y log(p)): the deviance of counts y with the mean p, up to a constant.

    1e-7 is added to p inside the logarithm, as in Keras.
    """

    def element(self, target: Array, predictions: Array, values: Array, slopes: Array) -> None:
        """Write each element's loss and its derivative."""
        np.add(predictions, EPSILON, slopes)
        np.log(slopes, values)
        np.multiply(values, target, values)
        np.subtract(predictions, values, values)
        np.subtract(1, target / slopes, slopes)


class LogCosh(ElementLoss):
    """mean(log(cosh(p - y))): half the squared error of small errors, linear for large ones."""

    def element(self, target: Array, predictions: Array, values: Array, slopes: Array) -> None:
        """Write each element's loss and its derivative."""
        np.subtract(predictions, target, slopes)
        # |x| + log(1 + exp(-2 |x|)) - log(2): the exponent is never positive.
        size = np.absolute(slopes)
        np.exp(-2 * size, values)
        np.log1p(values, values)
        values += size - math.log(2)
        np.tanh(slopes, slopes)


class Hinge(ElementLoss):
    """mean(max(1 - y p, 0)), where y is -1 or 1; if y holds only 0 and 1, 0 means -1."""

    def element(self, target: Array, predictions: Array, values: Array, slopes: Array) -> None:
        """Write each element's loss and its derivative."""
        signs = _signs(target)
        np.multiply(signs, predictions, values)
        np.subtract(1, values, values)
        np.maximum(values, 0, out=values)
        np.multiply(-signs, values > 0, slopes)


class SquaredHinge(ElementLoss):
    """mean(max(1 - y p, 0)²), with y as in `Hinge`."""

    def element(self, target: Array, predictions: Array, values: Array, slopes: Array) -> None:
        """Write each element's loss and its derivative."""
        signs = _signs(target)
        np.multiply(signs, predictions, values)
        np.subtract(1, values, values)
        np.maximum(values, 0, out=values)
        np.multiply(values, -2 * signs, slopes)
        np.multiply(values, values, values)


def _signs(target: Array) -> Array:
    return 2 * target - 1 if np.all((target == 0) | (target == 1)) else target
