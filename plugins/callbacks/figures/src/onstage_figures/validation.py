"""The validation of an epoch: its samples, labels and predictions as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onstage.model import Array


@dataclass
class Predictions:
    """Samples, labels and what the model says about them.

    Attributes
    ----------
    x
        The samples, shape ``(n, …)``.
    labels, predicted
        Classes, shape ``(n,)``, from 0.
    scores
        Outputs of the model, shape ``(n, classes)``; ``(n, 1)`` for two classes.
    class_names
        One for each class.
    """

    x: Array
    labels: Array
    predicted: Array
    scores: Array
    class_names: list[str]

    def one_against_rest(self) -> dict[str, tuple[Array, Array]]:
        """Return labels and scores of each class; of two classes, the second alone."""
        numbers = [1] if len(self.class_names) == 2 else range(len(self.class_names))
        return {
            self.class_names[n]: (self.labels == n, self.scores[:, n % self.scores.shape[1]]) for n in numbers
        }


def collect(data: Any) -> tuple[Array, Array] | None:
    """Return the samples and labels of validation data; None if it can be read only once."""
    if isinstance(data, (tuple, list)):
        return _array(data[0]), _array(data[1])
    if hasattr(data, "__next__"):
        return None
    batches = [(_array(batch[0]), _array(batch[1])) for batch in data]
    xs, ys = zip(*batches, strict=True)
    return np.concatenate(xs), np.concatenate(ys)


def classify(
    x: Array, y: Array, outputs: Any, threshold: float, class_names: Sequence[str] | None
) -> Predictions:
    """Compare outputs with labels.

    Parameters
    ----------
    y
        Integers of shape ``(n,)`` or ``(n, 1)``, or one-hot of shape ``(n, classes)``.
    outputs
        Shape ``(n, classes)``; ``(n,)`` or ``(n, 1)`` for two classes.
    threshold
        Output from which a sample is of the second of two classes.

    Raises
    ------
    ValueError
        If the shapes or labels are no classification, or the names are too few.
    """
    scores = _array(outputs)
    scores = scores[:, None] if scores.ndim == 1 else scores
    if scores.ndim != 2 or len(scores) != len(y):
        raise ValueError(
            f"model.predict must return shape ({len(y)}, classes), got {scores.shape}; "
            "Figures draws a classification"
        )
    classes = max(scores.shape[1], 2)
    labels = y.argmax(axis=1) if y.ndim == 2 and y.shape[1] > 1 else y.ravel()
    if not np.array_equal(labels, labels.astype(np.int64)) or not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(
            f"y must be classes in [0, {classes}) or one-hot, "
            f"got values from {labels.min()} to {labels.max()}; Figures draws a classification"
        )
    if class_names is not None and len(class_names) != classes:
        raise ValueError(f"class_names must be {classes} names, got {len(class_names)}")
    predicted = scores.argmax(axis=1) if scores.shape[1] > 1 else (scores[:, 0] > threshold).astype(np.int64)
    names = [str(n) for n in range(classes)] if class_names is None else list(class_names)
    return Predictions(x, labels.astype(np.int64), predicted, scores, names)


def _array(value: Any) -> Array:
    """Return an array; a tensor may be on a device."""
    return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
