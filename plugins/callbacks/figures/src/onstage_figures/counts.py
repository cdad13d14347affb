"""The numbers of the pictures: confusion matrix, ROC and precision-recall curves."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from onstage.model import Array


class Curve(NamedTuple):
    """A curve over all thresholds.

    Attributes
    ----------
    x, y
        False and true positive rate, or recall and precision, shape ``(k,)``.
    area
        Area under the ROC curve, or average precision; NaN if undefined.
    """

    x: Array
    y: Array
    area: float


def confusion_matrix(labels: Array, predicted: Array, classes: int) -> Array:
    """Count the samples by label (rows) and prediction (columns).

    Parameters
    ----------
    labels, predicted
        Shape ``(n,)``, integers in ``[0, classes)``.

    Returns
    -------
    array
        Shape ``(classes, classes)``, integers.
    """
    counts = np.bincount(labels * classes + predicted, minlength=classes * classes)
    return counts.reshape(classes, classes)


def roc_curve(positive: Array, scores: Array) -> Curve:
    """Return the receiver operating characteristic, from (0, 0) to (1, 1).

    Parameters
    ----------
    positive
        Shape ``(n,)``, booleans.
    scores
        Shape ``(n,)``, higher for positive.
    """
    true, false = _count_above(positive, scores)
    if not true[-1] or not false[-1]:
        return Curve(np.empty(0), np.empty(0), float("nan"))
    x, y = np.append(0.0, false / false[-1]), np.append(0.0, true / true[-1])
    return Curve(x, y, float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2)))


def precision_recall_curve(positive: Array, scores: Array) -> Curve:
    """Return precision over recall, from recall 0 to 1; arguments as in `roc_curve`.

    The area is the average precision: the sum of the precisions, weighted by
    the increase in recall.
    """
    true, false = _count_above(positive, scores)
    if not true[-1]:
        return Curve(np.empty(0), np.empty(0), float("nan"))
    recall, precision = true / true[-1], true / (true + false)
    area = float(np.sum(np.diff(recall, prepend=0.0) * precision))
    return Curve(np.append(0.0, recall), np.append(1.0, precision), area)


def _count_above(positive: Array, scores: Array) -> tuple[Array, Array]:
    """Count true and false positives at each distinct threshold, from the highest."""
    order = np.argsort(-scores, kind="stable")
    ordered, hits = scores[order], np.cumsum(positive[order])
    last = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)  # equal scores are one threshold
    return hits[last], last + 1 - hits[last]
