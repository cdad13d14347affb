"""How often the predicted class is the right one."""

from __future__ import annotations

from typing import Any

import numpy as np

from onstage.model import Array
from onstage.nn import target_shapes
from onstage.nn.metrics.base import MeanMetric
from onstage.validation import validate_float, validate_int


class _Accuracy(MeanMetric):
    """A share of hits: more is better."""

    direction = "max"
    counts_objects = False


class Accuracy(_Accuracy):
    """How often outputs equal targets exactly."""

    def values(self, y_true: Array, y_pred: Array) -> Array:
        """Tell where they are equal, in the shape of the outputs."""
        y_true, y_pred = target_shapes.pair(self.name, y_true, y_pred)
        return np.equal(y_true, y_pred)


class BinaryAccuracy(_Accuracy):
    """How often outputs are on the targets' side of a threshold.

    Parameters
    ----------
    threshold
        Outputs above it stand for 1, others for 0; in [0, 1].
    """

    def __init__(self, name: str | None = None, threshold: float = 0.5) -> None:
        super().__init__(name)
        self.threshold = validate_float("threshold", threshold, 0, 1)

    def values(self, y_true: Array, y_pred: Array) -> Array:
        """Tell where the sides agree, in the shape of the outputs."""
        y_true, y_pred = target_shapes.pair(self.name, y_true, y_pred)
        return np.equal(y_true, y_pred > self.threshold)

    def get_config(self) -> dict[str, Any]:
        """Give the constructor's arguments."""
        return {"name": self.name, "threshold": self.threshold}


class CategoricalAccuracy(_Accuracy):
    """How often the greatest output is at the greatest target: one-hot rows.

    Of equal outputs the first counts as the greatest.
    """

    def values(self, y_true: Array, y_pred: Array) -> Array:
        """Tell each sample's hit: shapes ``(n, classes)`` give ``(n,)``."""
        if y_true.shape != y_pred.shape:
            raise ValueError(
                f"{self.name} must be given one-hot targets of shape {y_pred.shape}, got {y_true.shape}; "
                "for class numbers use sparse_categorical_accuracy"
            )
        return np.asarray(y_true.argmax(-1) == y_pred.argmax(-1))


class SparseCategoricalAccuracy(_Accuracy):
    """How often the greatest output is at the target, a class number.

    Of equal outputs the first counts as the greatest.
    """

    def values(self, y_true: Array, y_pred: Array) -> Array:
        """Tell each sample's hit: ``(n,)`` or ``(n, 1)`` and ``(n, classes)`` give ``(n,)``."""
        return np.asarray(_classes(self.name, y_true, y_pred) == y_pred.argmax(-1))


class SparseTopKCategoricalAccuracy(_Accuracy):
    """How often the target, a class number, is among the `k` greatest outputs.

    Parameters
    ----------
    k
        At least 1. Outputs that equal the k-th greatest count as among them.
    """

    def __init__(self, k: int = 5, name: str | None = None) -> None:
        super().__init__(name)
        self.k = validate_int("k", k, 1)

    def values(self, y_true: Array, y_pred: Array) -> Array:
        """Tell each sample's hit: ``(n,)`` or ``(n, 1)`` and ``(n, classes)`` give ``(n,)``."""
        return self._hits(_classes(self.name, y_true, y_pred).astype(np.intp, copy=False), y_pred)

    def _hits(self, classes: Array, y_pred: Array) -> Array:
        chosen = np.take_along_axis(y_pred, classes[..., np.newaxis], -1)
        # A NaN is among nothing, though none is greater than it.
        better = np.count_nonzero(y_pred > chosen, axis=-1)
        return np.asarray((better < self.k) & ~np.isnan(chosen[..., 0]))

    def get_config(self) -> dict[str, Any]:
        """Give the constructor's arguments."""
        return {"k": self.k, "name": self.name}


class TopKCategoricalAccuracy(SparseTopKCategoricalAccuracy):
    """How often the greatest target is among the `k` greatest outputs: one-hot rows.

    Parameters
    ----------
    k
        At least 1. Outputs that equal the k-th greatest count as among them.
    """

    def values(self, y_true: Array, y_pred: Array) -> Array:
        """Tell each sample's hit: shapes ``(n, classes)`` give ``(n,)``."""
        if y_true.shape != y_pred.shape:
            raise ValueError(
                f"{self.name} must be given one-hot targets of shape {y_pred.shape}, got {y_true.shape}; "
                "for class numbers use sparse_top_k_categorical_accuracy"
            )
        return self._hits(y_true.argmax(-1), y_pred)


def _classes(name: str, y_true: Array, y_pred: Array) -> Array:
    if y_true.ndim == 1 and y_pred.ndim == 2 and len(y_true) == len(y_pred):
        return y_true  # what is nearly always given takes the shortest way
    if y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1:
        y_true = y_true[..., 0]
    if y_true.shape != y_pred.shape[:-1]:
        raise ValueError(
            f"{name} must be given class numbers of shape {y_pred.shape[:-1]}, got {y_true.shape}; "
            "for one-hot targets use the metric without 'sparse'"
        )
    return y_true
