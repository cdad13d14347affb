"""Accuracies: how often the predicted class is correct."""

from __future__ import annotations

from typing import Any

import numpy as np

from onstage.model import Array
from onstage.nn import target_shapes
from onstage.nn.metrics.base import MeanMetric
from onstage.validation import validate_float, validate_int


class _Accuracy(MeanMetric):
    """Base class: the fraction of correct predictions."""

    direction = "max"
    counts_objects = False


class Accuracy(_Accuracy):
    """How often outputs equal targets exactly."""

    def values(self, y_true: Array, y_pred: Array) -> Array:
        """Return where they are equal, in the shape of the outputs."""
        y_true, y_pred = target_shapes.match_shapes(self.name, y_true, y_pred)
        return np.equal(y_true, y_pred)


class BinaryAccuracy(_Accuracy):
    """How often outputs match binary targets, after thresholding.

    Parameters
    ----------
    threshold
        Outputs above it count as 1, others as 0; in [0, 1].

    Examples
    --------
    >>> metric = BinaryAccuracy()
    >>> metric.update_state([[1], [0], [1]], [[0.9], [0.2], [0.4]])
    >>> round(metric.result(), 2)
    0.67
    """

    joins_batches = True

    def __init__(self, name: str | None = None, threshold: float = 0.5) -> None:
        super().__init__(name)
        self.threshold = validate_float("threshold", threshold, 0, 1)

    def values(self, y_true: Array, y_pred: Array) -> Array:
        """Return where they match, in the shape of the outputs."""
        y_true, y_pred = target_shapes.match_shapes(self.name, y_true, y_pred)
        return np.equal(y_true, y_pred > self.threshold)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"name": self.name, "threshold": self.threshold}


class CategoricalAccuracy(_Accuracy):
    """How often the largest output is that of the target class, given one-hot.

    Of equal outputs the first counts as the largest.
    """

    joins_batches = True

    def values(self, y_true: Array, y_pred: Array) -> Array:
        """Return which samples are correct: shapes ``(n, classes)`` yield ``(n,)``."""
        if y_true.shape != y_pred.shape:
            raise ValueError(
                f"{self.name} must be given one-hot targets of shape {y_pred.shape}, got {y_true.shape}; "
                "for class numbers use sparse_categorical_accuracy"
            )
        return np.asarray(y_true.argmax(-1) == y_pred.argmax(-1))


class SparseCategoricalAccuracy(_Accuracy):
    """How often the largest output is that of the target, a class number.

    Of equal outputs the first counts as the largest.

    Examples
    --------
    >>> metric = SparseCategoricalAccuracy()
    >>> metric.update_state([1, 0], [[0.1, 0.9], [0.2, 0.8]])
    >>> metric.result()
    0.5
    """

    joins_batches = True

    def values(self, y_true: Array, y_pred: Array) -> Array:
        """Return which samples are correct: ``(n,)`` or ``(n, 1)`` and ``(n, classes)``."""
        return np.asarray(_classes(self.name, y_true, y_pred) == y_pred.argmax(-1))


class SparseTopKCategoricalAccuracy(_Accuracy):
    """How often the target, a class number, is among the `k` largest outputs.

    Parameters
    ----------
    k
        At least 1. Outputs equal to the k-th largest count as among them.
    """

    def __init__(self, k: int = 5, name: str | None = None) -> None:
        super().__init__(name)
        self.k = validate_int("k", k, 1)

    def values(self, y_true: Array, y_pred: Array) -> Array:
        """Return which samples are correct: ``(n,)`` or ``(n, 1)`` and ``(n, classes)``."""
        return self._correct(_classes(self.name, y_true, y_pred).astype(np.intp, copy=False), y_pred)

    def _correct(self, classes: Array, y_pred: Array) -> Array:
        chosen = np.take_along_axis(y_pred, classes[..., np.newaxis], -1)
        # A NaN is never among the top k, although no output is greater than it.
        better = np.count_nonzero(y_pred > chosen, axis=-1)
        return np.asarray((better < self.k) & ~np.isnan(chosen[..., 0]))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"k": self.k, "name": self.name}


class TopKCategoricalAccuracy(SparseTopKCategoricalAccuracy):
    """How often the target class, given one-hot, is among the `k` largest outputs.

    Parameters
    ----------
    k
        At least 1. Outputs equal to the k-th largest count as among them.
    """

    def values(self, y_true: Array, y_pred: Array) -> Array:
        """Return which samples are correct: shapes ``(n, classes)`` yield ``(n,)``."""
        if y_true.shape != y_pred.shape:
            raise ValueError(
                f"{self.name} must be given one-hot targets of shape {y_pred.shape}, got {y_true.shape}; "
                "for class numbers use sparse_top_k_categorical_accuracy"
            )
        return self._correct(y_true.argmax(-1), y_pred)


def _classes(name: str, y_true: Array, y_pred: Array) -> Array:
    if y_true.ndim == 1 and y_pred.ndim == 2 and len(y_true) == len(y_pred):
        return y_true  # fast path for the most common shapes
    if y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1:
        y_true = y_true[..., 0]
    if y_true.shape != y_pred.shape[:-1]:
        raise ValueError(
            f"{name} must be given class numbers of shape {y_pred.shape[:-1]}, got {y_true.shape}; "
            "for one-hot targets use the metric without 'sparse'"
        )
    return y_true
