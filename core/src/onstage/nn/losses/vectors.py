"""Losses of the last axis as a whole: distributions, directions, margins between classes."""

from __future__ import annotations

import numpy as np

from onstage.model import Array
from onstage.nn.losses.base import EPSILON, ElementLoss


class KLDivergence(ElementLoss):
    """sum(y log(y / p)), where y and p are distributions.

    Both are clipped to [1e-7, 1], as in Keras.

    Examples
    --------
    >>> round(KLDivergence()([[0.5, 0.5]], [[0.25, 0.75]]), 4)  # 0.5 log(2) + 0.5 log(2/3)
    0.1438
    """

    averages = False

    def element(self, target: Array, predictions: Array, values: Array, slopes: Array) -> None:
        """Write each element's loss and its derivative."""
        y, p = np.clip(target, EPSILON, 1), np.clip(predictions, EPSILON, 1)
        np.divide(y, p, slopes)
        np.log(slopes, values)
        np.multiply(values, y, values)
        np.multiply(slopes, -1.0 * (p == predictions), slopes)  # the derivative of clipped values is 0


class CosineSimilarity(ElementLoss):
    """Minus the cosine of the angle between y and p: -1 if they point the same way.

    A vector shorter than 1e-7 is divided by 1e-7 instead of its length, as in
    Keras.

    Examples
    --------
    >>> CosineSimilarity()([[0.0, 1.0]], [[0.0, 3.0]])
    -1.0
    """

    averages = False

    def element(self, target: Array, predictions: Array, values: Array, slopes: Array) -> None:
        """Write each element's loss and the derivative of the sum."""
        y, _ = _unit(target)
        p, length = _unit(predictions)
        np.multiply(y, p, values)
        cosine = values.sum(axis=0) * (length > EPSILON)  # a fixed length has no derivative
        np.divide(cosine * p - y, length, slopes)
        np.negative(values, values)


class CategoricalHinge(ElementLoss):
    """max(1 + max((1 - y) p) - sum(y p), 0), where y is one-hot.

    Of equal predictions, the first receives the gradient.
    """

    averages = False

    def element(self, target: Array, predictions: Array, values: Array, slopes: Array) -> None:
        """Write the loss of each sample as its first element, and its derivatives."""
        np.multiply(1 - target, predictions, slopes)
        best = slopes.argmax(axis=0)[np.newaxis]
        margin = 1 + slopes.max(axis=0) - (target * predictions).sum(axis=0)
        values.fill(0)
        np.maximum(margin, 0, out=values[0, ...])
        np.negative(target, slopes)
        at_best = np.take_along_axis(slopes, best, 0) + (1 - np.take_along_axis(target, best, 0))
        np.put_along_axis(slopes, best, at_best, 0)
        np.multiply(slopes, margin > 0, slopes)


def _unit(vectors: Array) -> tuple[Array, Array]:
    """Return vectors along axis 0 scaled to length 1, and their lengths."""
    length = np.maximum(np.sqrt(np.square(vectors).sum(axis=0)), EPSILON)
    return vectors / length, length
