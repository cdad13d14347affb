"""Binary cross-entropy, and the base class of the cross-entropies."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from onstage.model import Array
from onstage.nn import activations
from onstage.nn.execution.ops import Op, SigmoidLogits
from onstage.nn.losses.base import EPSILON, BoundLoss, Loss, bind_elements, bind_target
from onstage.validation import validate_bool, validate_float

_SLACK = 1e-4
"""How far above 1 a probability may be, by rounding."""


class Crossentropy(Loss):
    """Base class of the cross-entropies.

    Parameters
    ----------
    from_logits
        Whether predictions are logits rather than probabilities.
    """

    def __init__(self, from_logits: bool = False) -> None:
        self.from_logits = validate_bool("from_logits", from_logits)

    def check_probabilities(self, predictions: Array, high: float = math.inf) -> None:
        """Raise ValueError for a prediction below 0 or above `high`; NaN passes."""
        lowest, highest = predictions.min(), predictions.max()
        if lowest < 0 or highest > high:
            raise ValueError(
                f"outputs must be probabilities for the loss {self.name!r}, got {lowest:.4g} to "
                f"{highest:.4g}; end the model with a softmax or sigmoid, or use "
                f"{type(self).__name__}(from_logits=True)"
            )

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"from_logits": self.from_logits}


class BinaryCrossentropy(Crossentropy):
    """mean(-y log(p) - (1 - y) log(1 - p)).

    Parameters
    ----------
    from_logits
        Whether predictions are logits rather than probabilities.
    label_smoothing
        Fraction by which y is moved towards 1/2, in [0, 1].
    """

    def __init__(self, from_logits: bool = False, label_smoothing: float = 0.0) -> None:
        super().__init__(from_logits)
        self.label_smoothing = validate_float("label_smoothing", label_smoothing, 0, 1)

    def bind(self, predictions: Array, last: Op | None, y_shape: tuple[int, ...]) -> BoundLoss:
        """Bind the loss to a plan's prediction buffer."""
        take = smooth_targets(bind_target(predictions, y_shape), self.label_smoothing, 0.5)
        if self.from_logits:
            probabilities = np.empty_like(predictions)

            def on_logits(y: Array, values: Array, slopes: Array) -> None:
                activations.sigmoid.value(predictions, probabilities)
                _binary_from_logits(take(y), predictions, probabilities, values, slopes)

            return bind_elements(predictions, on_logits)

        if last is not None and isinstance(last.logits, SigmoidLogits):
            logits = last.logits.logits

            def below_sigmoid(y: Array, values: Array, slopes: Array) -> None:
                _binary_from_logits(take(y), logits, predictions, values, slopes)

            return bind_elements(predictions, below_sigmoid, skips_last=True)

        def on_probabilities(y: Array, values: Array, slopes: Array) -> None:
            _binary_from_probabilities(take(y), predictions, values, slopes)

        bound = bind_elements(predictions, on_probabilities)
        return replace(bound, check_predictions=lambda: self.check_probabilities(predictions, 1 + _SLACK))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "label_smoothing": self.label_smoothing}


def _binary_from_logits(
    target: Array, logits: Array, probabilities: Array, values: Array, slopes: Array
) -> None:
    # max(z, 0) - z y + log(1 + exp(-|z|)): the exponent is never positive.
    np.absolute(logits, values)
    np.negative(values, values)
    np.exp(values, values)
    np.log1p(values, values)
    np.multiply(logits, target, slopes)
    np.subtract(values, slopes, values)
    np.maximum(logits, 0, out=slopes)
    np.add(values, slopes, values)
    np.subtract(probabilities, target, slopes)


def _binary_from_probabilities(target: Array, predictions: Array, values: Array, slopes: Array) -> None:
    p = np.clip(predictions, EPSILON, 1 - EPSILON)
    np.log(p, values)
    np.multiply(values, -target, values)
    values -= (1 - target) * np.log1p(-p)
    np.divide(p - target, p * (1 - p), slopes)
    slopes *= p == predictions  # the derivative of clipped values is 0


def smooth_targets(take: Callable[[Array], Array], amount: float, middle: float) -> Callable[[Array], Array]:
    """Wrap `take` to move its targets towards `middle` by the fraction `amount`."""
    if amount == 0:
        return take
    return lambda y: take(y) * (1 - amount) + amount * middle
