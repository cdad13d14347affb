"""Cross-entropies over classes, on logits wherever a softmax stands last."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from onstage.model import Array
from onstage.nn import activations
from onstage.nn.execution.ops import BindContext, LogSoftmax, Op, to_channels_first
from onstage.nn.losses.base import EPSILON, BoundLoss, batch_shape, target_taker
from onstage.nn.losses.crossentropy import Crossentropy, smoothed
from onstage.validation import validate_float


class CategoricalCrossentropy(Crossentropy):
    """-sum(y log(p)), y being a distribution over the classes, such as a one-hot row.

    Parameters
    ----------
    from_logits
        Whether the predictions are logits rather than probabilities.
    label_smoothing
        In [0, 1]: y is moved by this fraction of the way to 1 / classes.
    """

    def __init__(self, from_logits: bool = False, label_smoothing: float = 0.0) -> None:
        super().__init__(from_logits)
        self.label_smoothing = validate_float("label_smoothing", label_smoothing, 0, 1)

    def bind(self, predictions: Array, last: Op | None, y_shape: tuple[int, ...]) -> BoundLoss:
        """Tie the loss to the buffer of a plan's predictions."""
        take = smoothed(target_taker(predictions, y_shape), self.label_smoothing, 1 / predictions.shape[0])
        softmax = find_softmax(predictions, last, self.from_logits)
        if softmax is None:
            return _bind_clipped(predictions, take)
        probabilities, (shifted, total, *_), fill, passes_last = softmax
        values = np.empty_like(total)
        scratch = np.empty_like(predictions)
        factor = np.array(1 / values.size, predictions.dtype)

        def forward(y: Array) -> None:
            if fill is not None:
                fill()
            target = take(y)
            np.multiply(target, shifted, scratch)
            np.add.reduce(scratch, axis=0, out=values)
            mass = np.add.reduce(target, axis=0)
            np.subtract(np.log(total) * mass, values, values)
            # Made here, while y is at hand; the probabilities are still to be read.
            np.multiply(probabilities, mass, scratch)
            np.subtract(scratch, target, scratch)

        def backward(weights: Array | None) -> Array:
            np.multiply(scratch, factor, scratch)
            if weights is not None:
                np.multiply(scratch, weights, scratch)
            return scratch

        return BoundLoss(values, forward, backward, passes_last)

    def get_config(self) -> dict[str, Any]:
        """Give the constructor's arguments."""
        return {**super().get_config(), "label_smoothing": self.label_smoothing}


class SparseCategoricalCrossentropy(Crossentropy):
    """-log(p[y]), y being the number of the class, in [0, classes).

    Parameters
    ----------
    from_logits
        Whether the predictions are logits rather than probabilities.

    References
    ----------
    Goodfellow, Bengio, Courville: *Deep Learning* (2016), section 6.2.2.3.
    """

    sparse = True

    def check_target(self, y_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> None:
        """Refuse a y that doesn't fit; shapes are without the batch axis."""
        if y_shape not in (output_shape[:-1], (*output_shape[:-1], 1)):
            raise ValueError(
                f"y must have shape {batch_shape(output_shape[:-1])} and hold class numbers for the loss "
                f"{self.name!r}, got {batch_shape(y_shape)}; for one-hot rows take 'categorical_crossentropy'"
            )

    def bind(self, predictions: Array, last: Op | None, y_shape: tuple[int, ...]) -> BoundLoss:
        """Tie the loss to the buffer of a plan's predictions."""
        classes = predictions.shape[0]
        lengths = (predictions.shape[-1], *predictions.shape[1:-1])
        buffer = np.empty(predictions.shape[1:], np.intp)

        def labels_of(y: Array) -> Array:
            labels = y if y.ndim == 1 else to_channels_first(y.reshape(lengths))
            if y.dtype == np.intp:
                return labels
            np.copyto(buffer, labels, casting="unsafe")
            return buffer

        def check(labels: Array) -> None:
            low, high = labels.min(), labels.max()
            if low < 0 or high >= classes:
                raise ValueError(f"y must hold class numbers in [0, {classes}), got {low} to {high}")

        softmax = find_softmax(predictions, last, self.from_logits)
        if softmax is None:
            numbers = np.arange(classes).reshape(-1, *[1] * buffer.ndim)
            one_hot = np.empty_like(predictions)

            def take(y: Array) -> Array:
                labels = labels_of(y)
                check(labels)
                np.copyto(one_hot, numbers == labels)
                return one_hot

            return _bind_clipped(predictions, take)

        probabilities, (_, total, guarded, padded), fill, passes_last = softmax
        samples = np.array(buffer.size)
        places = np.arange(1, buffer.size + 1).reshape(buffer.shape)
        index = np.empty_like(buffer)
        values, picked = np.empty_like(total), np.empty_like(total)
        factor = np.array(1 / values.size, predictions.dtype)

        def forward(y: Array) -> None:
            if fill is not None:
                fill()
            labels = labels_of(y)
            np.multiply(labels, samples, index)
            np.add(index, places, index)
            # A label out of range is clipped to a guard, and its loss is NaN.
            guarded.take(index, out=picked, mode="clip")
            np.log(total, values)
            np.subtract(values, picked, values)

        def backward(weights: Array | None) -> Array:
            padded[index] -= 1
            np.multiply(probabilities, factor, probabilities)
            if weights is not None:
                np.multiply(probabilities, weights, probabilities)
            return probabilities

        return BoundLoss(values, forward, backward, passes_last, lambda y: check(labels_of(y)))


def find_softmax(
    predictions: Array, last: Op | None, from_logits: bool
) -> tuple[Array, LogSoftmax, Callable[[], object] | None, bool] | None:
    """Find the softmax to work below, or make one upon logits.

    Returns
    -------
    tuple or None
        Its probabilities, what it kept, what to call before they are read (if
        anything), and whether it is the model's last step. None: only
        probabilities are known.
    """
    if from_logits:
        context = BindContext(predictions.dtype, np.random.default_rng(0), False, False, may_overwrite=False)
        (own,) = activations.softmax.bind(predictions, context)
        assert isinstance(own.logits, LogSoftmax)
        return own.out, own.logits, lambda: own.forward(predictions), False
    if last is not None and isinstance(last.logits, LogSoftmax):
        return predictions, last.logits, None, True
    return None


def _bind_clipped(predictions: Array, take: Callable[[Array], Array]) -> BoundLoss:
    """Tie -sum(y log(p)) to probabilities that came from anywhere, as Keras does."""
    values = np.empty(predictions.shape[1:], predictions.dtype)
    slopes = np.empty_like(predictions)

    def forward(y: Array) -> None:
        target = take(y)
        total = predictions.sum(axis=0)
        shares = predictions / total
        clipped = np.clip(shares, EPSILON, 1 - EPSILON)
        np.negative((target * np.log(clipped)).sum(axis=0), values)
        by_share = -target / clipped * (clipped == shares)
        np.divide(by_share - (by_share * shares).sum(axis=0), total, slopes)

    def backward(weights: Array | None) -> Array:
        np.multiply(slopes, 1 / values.size, slopes)
        if weights is not None:
            np.multiply(slopes, weights, slopes)
        return slopes

    return BoundLoss(values, forward, backward)
