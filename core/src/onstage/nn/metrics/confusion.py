"""Precision and recall."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onstage.model import Array
from onstage.nn import target_shapes
from onstage.nn.metrics.base import Metric
from onstage.validation import validate_float, validate_int


class _Confusion(Metric):
    """Base class; the state is ``[true positives, false positives, false negatives]``."""

    direction = "max"
    _others: int  # index of the state: counts in the denominator besides true positives

    def __init__(
        self,
        thresholds: float | Sequence[float] | None = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.thresholds = None if thresholds is None else _threshold(thresholds)
        self.top_k = None if top_k is None else validate_int("top_k", top_k, 1)
        self.class_id = None if class_id is None else validate_int("class_id", class_id, 0)

    def build(self, output_shape: Sequence[int | None]) -> None:
        """Raise ValueError unless `class_id` is less than the number of classes."""
        classes = output_shape[-1] if len(output_shape) > 1 else 1
        if self.class_id is not None and classes is not None and self.class_id >= classes:
            raise ValueError(
                f"class_id must be less than {classes}, the number of classes, got {self.class_id}"
            )

    def state_shape(self) -> tuple[int, ...]:
        """Return the shape of a state."""
        return (3,)

    def update(self, state: Array, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> None:
        """Add a batch to a state, in place; see `Metric.update`."""
        y_true, y_pred = target_shapes.match_shapes(self.name, y_true, y_pred)
        chosen = ... if self.class_id is None else (..., self.class_id)
        actual, predicted = y_true.astype(bool)[chosen], self._predicted(y_pred)[chosen]
        cases = (actual & predicted, ~actual & predicted, actual & ~predicted)
        if sample_weight is None:
            state += [np.count_nonzero(case) for case in cases]
        else:
            weight = target_shapes.broadcast_weights(sample_weight, y_true.shape)[chosen]
            state += [weight[case].sum(dtype=np.float64) for case in cases]

    def _predicted(self, y_pred: Array) -> Array:
        threshold = 0.5 if self.thresholds is None else self.thresholds
        if self.top_k is None:
            return np.greater(y_pred, threshold)
        chosen = np.zeros(y_pred.shape, bool)
        greatest = np.argsort(-y_pred, axis=-1, kind="stable")[..., : self.top_k]
        np.put_along_axis(chosen, greatest, True, -1)
        return chosen if self.thresholds is None else chosen & (y_pred > threshold)

    def aggregate(self, state: Array) -> float:
        """Return the value for a state; 0 if nothing was added."""
        true_positives, others = state[0], state[self._others]
        return float(true_positives / (true_positives + others)) if true_positives + others else 0.0

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        own = ("thresholds", "top_k", "class_id")
        return super().get_config() | {each: getattr(self, each) for each in own}


class Precision(_Confusion):
    """Fraction of positive predictions that are correct.

    Parameters
    ----------
    thresholds
        Outputs above it are positive predictions; in [0, 1], 0.5 by default.
        A single number, as logs hold one value per name.
    top_k
        Predict as positive the `top_k` largest outputs of a sample instead; if
        `thresholds` is given, only those above it.
    class_id
        Restrict the metric to this class, counted from 0.

    Examples
    --------
    >>> metric = Precision()
    >>> metric.update_state([1, 0, 1, 0], [0.9, 0.8, 0.3, 0.1])
    >>> metric.result()
    0.5
    """

    _others = 1


class Recall(_Confusion):
    """Fraction of positive targets that are predicted.

    Parameters
    ----------
    thresholds, top_k, class_id
        As in `Precision`.
    """

    _others = 2


def _threshold(thresholds: float | Sequence[float]) -> float:
    several = [thresholds] if isinstance(thresholds, int | float) else list(thresholds)
    if len(several) != 1:
        raise ValueError(
            f"thresholds must be one number, got {several}; make a metric with its own name for each"
        )
    return validate_float("thresholds", several[0], 0, 1)
