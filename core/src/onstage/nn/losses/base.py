"""Loss: one value for each sample, and the gradient of their mean.

Each works on a plan's buffers (see `steps`) and can be called on arrays of the
usual order too: ``losses.MeanSquaredError()(y_true, y_pred)``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from onstage.model import Array
from onstage.nn import serialization
from onstage.nn.execution.ops import Op, to_channels_first

EPSILON = 1e-7
"""Keras's: probabilities are kept this far from 0 and 1 before their logarithm."""


@dataclass(frozen=True)
class BoundLoss:
    """A loss over the buffers of one plan.

    Parameters
    ----------
    values
        The loss of each sample, shape ``(..., batch)``; `forward` fills it.
    forward
        Takes the batch's y, as it came.
    backward
        Gives the gradient of ``sum(weights * values) / values.size``; takes the
        weights, of a shape that multiplies `values`, or None. May overwrite
        the predictions.
    passes_last
        Whether that is the gradient of what went into the last step, rather
        than of what came out.
    check
        Raises ValueError if y is the reason for a loss of NaN.
    """

    values: Array
    forward: Callable[[Array], None]
    backward: Callable[[Array | None], Array]
    passes_last: bool = False
    check: Callable[[Array], None] = lambda y: None


class Loss:
    """What training makes small.

    For one of your own, a function ``f(y_true, y_pred)`` does: see `function.FunctionLoss`.
    """

    sparse = False
    """Whether y holds class numbers, an axis less than the predictions."""

    def bind(self, predictions: Array, last: Op | None, y_shape: tuple[int, ...]) -> BoundLoss:
        """Tie the loss to the buffer of a plan's predictions.

        Parameters
        ----------
        predictions
            In the inside order.
        last
            The step that fills it.
        y_shape
            Of the y that `BoundLoss.forward` will get.
        """
        raise NotImplementedError(f"{type(self).__name__} must define bind(self, predictions, last, y_shape)")

    def check_target(self, y_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> None:
        """Refuse a y that doesn't fit; shapes are without the batch axis.

        Raises
        ------
        ValueError
            Says what y must be.
        """
        if y_shape != output_shape and not (output_shape == (*y_shape, 1)):
            raise ValueError(
                f"y must have shape {batch_shape(output_shape)}, as the model's output has, "
                f"for the loss {self.name!r}, got {batch_shape(y_shape)}"
            )

    @property
    def name(self) -> str:
        """Keras's name, in snake case."""
        return serialization.snake_case(type(self).__name__)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> float:
        """Give the mean over the samples, ``sum(weight * loss) / n``."""
        predictions = np.asarray(y_pred)
        if predictions.dtype.kind != "f":
            predictions = predictions.astype(np.float32)
        target = np.asarray(y_true)
        self.check_target(target.shape[1:], predictions.shape[1:])
        bound = self.bind(np.array(to_channels_first(predictions), order="C"), None, target.shape)
        bound.forward(target)
        values = (
            bound.values
            if sample_weight is None
            else bound.values * to_channels_first(np.asarray(sample_weight))
        )
        mean = float(values.mean())
        if math.isnan(mean):
            bound.check(target)
        return mean

    def get_config(self) -> dict[str, Any]:
        """Give the constructor's arguments."""
        return {}


class ElementLoss(Loss):
    """A mean over the last axis; made to be subclassed by `element`."""

    def element(self, target: Array, predictions: Array, values: Array, slopes: Array) -> None:
        """Write the loss of each element, and its derivative by the prediction."""
        raise NotImplementedError(f"{type(self).__name__} must define element(...)")

    def bind(self, predictions: Array, last: Op | None, y_shape: tuple[int, ...]) -> BoundLoss:
        """Tie the loss to the buffer of a plan's predictions."""
        take = target_taker(predictions, y_shape)

        def element(y: Array, values: Array, slopes: Array) -> None:
            self.element(take(y), predictions, values, slopes)

        return bind_elements(predictions, element)


def bind_elements(
    predictions: Array, element: Callable[[Array, Array, Array], None], passes_last: bool = False
) -> BoundLoss:
    """Tie a function of ``(y, values, slopes)`` to a plan: means over axis 0."""
    elements, slopes = np.empty_like(predictions), np.empty_like(predictions)
    values = np.empty(predictions.shape[1:], predictions.dtype)
    share = np.array(1 / predictions.shape[0], predictions.dtype)
    factor = np.array(1 / predictions.size, predictions.dtype)

    def forward(y: Array) -> None:
        element(y, elements, slopes)
        np.add.reduce(elements, axis=0, out=values)
        np.multiply(values, share, values)

    def backward(weights: Array | None) -> Array:
        np.multiply(slopes, factor, slopes)
        if weights is not None:
            np.multiply(slopes, weights, slopes)
        return slopes

    return BoundLoss(values, forward, backward, passes_last)


def target_taker(predictions: Array, y_shape: tuple[int, ...]) -> Callable[[Array], Array]:
    """Make the function from y to an array like `predictions`, in their type."""
    buffer = np.empty_like(predictions)
    shape = (predictions.shape[-1], *predictions.shape[1:-1], predictions.shape[0])
    dtype = predictions.dtype

    def take(y: Array) -> Array:
        target = to_channels_first(y.reshape(shape))
        if y.dtype == dtype:
            return target
        np.copyto(buffer, target, casting="unsafe")
        return buffer

    return take


def batch_shape(shape: tuple[int, ...]) -> str:
    """Write a shape with its batch axis."""
    return f"({', '.join(['batch', *map(str, shape)])}{'' if shape else ','})"
