"""Cross-entropies over classes, on the logits if the model ends with softmax."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from onstage.model import Array
from onstage.nn import activations
from onstage.nn.execution.ops import BindContext, LogSoftmax, Op, to_channels_first
from onstage.nn.losses.base import EPSILON, BoundLoss, bind_target, format_shape
from onstage.nn.losses.crossentropy import Crossentropy, smooth_targets
from onstage.validation import validate_float


class CategoricalCrossentropy(Crossentropy):
    """-sum(y log(p)), where y is a distribution over classes, e.g. one-hot.

    Parameters
    ----------
    from_logits
        Whether predictions are logits rather than probabilities.
    label_smoothing
        Fraction by which y is moved towards 1 / classes, in [0, 1].

    Examples
    --------
    >>> loss = CategoricalCrossentropy()
    >>> round(loss([[1.0, 0.0]], [[0.25, 0.75]]), 4)  # -log(0.25)
    1.3863
    """

    def __init__(self, from_logits: bool = False, label_smoothing: float = 0.0) -> None:
        super().__init__(from_logits)
        self.label_smoothing = validate_float("label_smoothing", label_smoothing, 0, 1)

    def bind(self, predictions: Array, last: Op | None, y_shape: tuple[int, ...]) -> BoundLoss:
        """Bind the loss to a plan's prediction buffer."""
        classes = predictions.shape[0]
        take = smooth_targets(bind_target(predictions, y_shape), self.label_smoothing, 1 / classes)
        softmax = find_softmax(predictions, last, self.from_logits)
        if softmax is None:
            return bind_clipped(predictions, take, lambda: self.check_probabilities(predictions))
        probabilities, (shifted, total, *_), fill, skips_last = softmax
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
            # Computed here because y is available; the probabilities may be read later.
            np.multiply(probabilities, mass, scratch)
            np.subtract(scratch, target, scratch)

        def backward(weights: Array | None) -> Array:
            np.multiply(scratch, factor, scratch)
            if weights is not None:
                np.multiply(scratch, weights, scratch)
            return scratch

        return BoundLoss(values, forward, backward, skips_last)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "label_smoothing": self.label_smoothing}


class SparseCategoricalCrossentropy(Crossentropy):
    """-log(p[y]), where y is the class number, in [0, classes).

    Parameters
    ----------
    from_logits
        Whether predictions are logits rather than probabilities.

    References
    ----------
    Goodfellow, Bengio, Courville: *Deep Learning* (2016), section 6.2.2.3.

    Examples
    --------
    >>> loss = SparseCategoricalCrossentropy()
    >>> round(loss([0], [[0.25, 0.75]]), 4)  # -log(0.25)
    1.3863
    """

    sparse = True

    def check_target(self, y_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> None:
        """Raise ValueError unless y fits; shapes are without the batch axis."""
        if y_shape not in (output_shape[:-1], (*output_shape[:-1], 1)):
            raise ValueError(
                f"y must have shape {format_shape(output_shape[:-1])} and hold class numbers for the loss "
                f"{self.name!r}, got {format_shape(y_shape)}; for one-hot rows use "
                "'categorical_crossentropy'"
            )

    def bind(self, predictions: Array, last: Op | None, y_shape: tuple[int, ...]) -> BoundLoss:
        """Bind the loss to a plan's prediction buffer."""
        classes = predictions.shape[0]
        lengths = (predictions.shape[-1], *predictions.shape[1:-1])
        buffer = np.empty(predictions.shape[1:], np.intp)

        def labels_of(y: Array) -> Array:
            labels = y if y.ndim == 1 else to_channels_first(y.reshape(lengths))
            if y.dtype == np.intp:
                return labels
            np.copyto(buffer, labels, casting="unsafe")
            return buffer

        softmax = find_softmax(predictions, last, self.from_logits)
        if softmax is None:
            numbers = np.arange(classes).reshape(-1, *[1] * buffer.ndim)
            one_hot = np.empty_like(predictions)

            def take(y: Array) -> Array:
                labels = labels_of(y)
                _check_labels(labels, classes)
                np.copyto(one_hot, numbers == labels)
                return one_hot

            return bind_clipped(predictions, take, lambda: self.check_probabilities(predictions))

        probabilities, (_, total, guarded, padded), fill, skips_last = softmax
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
            # A label out of range is clipped to a guard, so its loss is NaN.
            guarded.take(index, out=picked, mode="clip")
            np.log(total, values)
            np.subtract(values, picked, values)

        def backward(weights: Array | None) -> Array:
            padded[index] -= 1
            np.multiply(probabilities, factor, probabilities)
            if weights is not None:
                np.multiply(probabilities, weights, probabilities)
            return probabilities

        return BoundLoss(
            values, forward, backward, skips_last, lambda y: _check_labels(labels_of(y), classes)
        )


def find_softmax(
    predictions: Array, last: Op | None, from_logits: bool
) -> tuple[Array, LogSoftmax, Callable[[], object] | None, bool] | None:
    """Find the softmax before the loss, or make one if `from_logits`.

    Returns
    -------
    tuple or None
        Its probabilities, its intermediate values, a function to call before
        either is read (or None), and whether it is the model's last op. None
        if only probabilities are known.
    """
    if from_logits:
        context = BindContext(predictions.dtype, np.random.default_rng(0), False, False, may_overwrite=False)
        (own,) = activations.softmax.bind(predictions, context)
        assert isinstance(own.logits, LogSoftmax)
        return own.out, own.logits, lambda: own.forward(predictions), False
    if last is not None and isinstance(last.logits, LogSoftmax):
        return predictions, last.logits, None, True
    return None


def _check_labels(labels: Array, classes: int) -> None:
    low, high = labels.min(), labels.max()
    if low < 0 or high >= classes:
        raise ValueError(f"y must hold class numbers in [0, {classes}), got {low} to {high}")


def bind_clipped(predictions: Array, take: Callable[[Array], Array], check: Callable[[], None]) -> BoundLoss:
    """Bind -sum(y log(p)) to probabilities, normalized and clipped as in Keras."""
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

    return BoundLoss(values, forward, backward, check_predictions=check)
