"""Loss: one value per sample, and the gradient of their mean.

Losses work on a plan's buffers (see `execution.ops`) and can also be called on
batch-first arrays: ``losses.MeanSquaredError()(y_true, y_pred)``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from onstage.model import Array
from onstage.nn import serialization
from onstage.nn.execution.ops import Op, to_channels_first

EPSILON = 1e-7
"""Distance from 0 and 1 to which probabilities are clipped, as in Keras."""


@dataclass(frozen=True)
class BoundLoss:
    """A loss bound to the buffers of one plan.

    Parameters
    ----------
    values
        Loss of each sample, shape ``(..., batch)``; written by `forward`.
    forward
        Function of the batch's y, in the user's shape.
    backward
        Function of the weights, which broadcast with `values`, or None;
        returns the gradient of ``sum(weights * values) / values.size``. May
        overwrite the predictions.
    skips_last
        Whether that is the gradient of the last op's input rather than of its
        output.
    check
        Raises ValueError if y is the cause of a NaN loss.
    check_predictions
        Raises ValueError if the loss isn't defined for the predictions; called
        once for each plan, after the first `forward`.
    """

    values: Array
    forward: Callable[[Array], None]
    backward: Callable[[Array | None], Array]
    skips_last: bool = False
    check: Callable[[Array], None] = lambda y: None
    check_predictions: Callable[[], None] = lambda: None


class Loss:
    """Base class of losses.

    A custom loss can be a plain function ``f(y_true, y_pred)``: see `FunctionLoss`.

    Examples
    --------
    >>> from onstage import losses
    >>> losses.MeanSquaredError()([[1.0], [2.0]], [[1.0], [4.0]])
    2.0
    """

    sparse = False
    """Whether y holds class numbers, with one axis fewer than the predictions."""

    def bind(self, predictions: Array, last: Op | None, y_shape: tuple[int, ...]) -> BoundLoss:
        """Bind the loss to a plan's prediction buffer.

        Parameters
        ----------
        predictions
            Channels first.
        last
            Op that writes the predictions.
        y_shape
            Shape of the argument of `BoundLoss.forward`.
        """
        raise NotImplementedError(f"{type(self).__name__} must define bind(self, predictions, last, y_shape)")

    def check_target(self, y_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> None:
        """Raise ValueError unless y fits; shapes are without the batch axis."""
        if y_shape != output_shape and not (output_shape == (*y_shape, 1)):
            raise ValueError(
                f"y must have the shape of the model's output, {format_shape(output_shape)}, "
                f"for the loss {self.name!r}, got {format_shape(y_shape)}"
            )

    @property
    def name(self) -> str:
        """Keras's name of the loss, in snake case."""
        return serialization.snake_case(type(self).__name__)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> float:
        """Return the mean over the samples, ``sum(weight * loss) / n``."""
        values = self.sample_losses(y_true, y_pred)
        if sample_weight is not None:
            values = to_channels_first(
                to_channels_first(values) * to_channels_first(np.asarray(sample_weight))
            )
        return float(values.mean())

    def sample_losses(self, y_true: Any, y_pred: Any) -> Array:
        """Return each sample's loss, of the shape of `y_pred` without the last axis.

        Raises
        ------
        ValueError
            If `y_true` doesn't fit, or holds values that make a loss NaN.
        """
        predictions = np.asarray(y_pred)
        if predictions.dtype.kind != "f":
            predictions = predictions.astype(np.float32)
        target = np.asarray(y_true)
        self.check_target(target.shape[1:], predictions.shape[1:])
        bound = self.bind(np.array(to_channels_first(predictions), order="C"), None, target.shape)
        bound.forward(target)
        if math.isnan(float(bound.values.mean())):
            bound.check(target)
        return to_channels_first(bound.values)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {}


class ElementLoss(Loss):
    """A mean, or a sum, of elementwise losses over the last axis.

    To write one, subclass it and define `element`.
    """

    averages: ClassVar[bool] = True
    """Whether the elements are averaged; otherwise they are added up."""

    def element(self, target: Array, predictions: Array, values: Array, slopes: Array) -> None:
        """Write each element's loss and its derivative by the prediction."""
        raise NotImplementedError(f"{type(self).__name__} must define element(...)")

    def bind(self, predictions: Array, last: Op | None, y_shape: tuple[int, ...]) -> BoundLoss:
        """Bind the loss to a plan's prediction buffer."""
        take = bind_target(predictions, y_shape)

        def element(y: Array, values: Array, slopes: Array) -> None:
            self.element(take(y), predictions, values, slopes)

        return bind_elements(predictions, element, averages=self.averages)


def bind_elements(
    predictions: Array,
    element: Callable[[Array, Array, Array], None],
    skips_last: bool = False,
    averages: bool = True,
) -> BoundLoss:
    """Bind a function of ``(y, values, slopes)`` to a plan: means, or sums, over axis 0."""
    elements, slopes = np.empty_like(predictions), np.empty_like(predictions)
    values = np.empty(predictions.shape[1:], predictions.dtype)
    terms = predictions.shape[0] if averages else 1
    share = np.array(1 / terms, predictions.dtype)
    factor = np.array(1 / (values.size * terms), predictions.dtype)

    def forward(y: Array) -> None:
        element(y, elements, slopes)
        np.add.reduce(elements, axis=0, out=values)
        np.multiply(values, share, values)

    def backward(weights: Array | None) -> Array:
        np.multiply(slopes, factor, slopes)
        if weights is not None:
            np.multiply(slopes, weights, slopes)
        return slopes

    return BoundLoss(values, forward, backward, skips_last)


def bind_target(predictions: Array, y_shape: tuple[int, ...]) -> Callable[[Array], Array]:
    """Make the function that converts y to the layout and type of `predictions`."""
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


def format_shape(shape: tuple[int, ...]) -> str:
    """Format a shape, with the batch axis prepended."""
    return f"({', '.join(['batch', *map(str, shape)])}{'' if shape else ','})"
