"""Precision and recall: right and wrong alarms, right and missed ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onstage.model import Array
from onstage.nn import target_shapes
from onstage.nn.metrics.base import Metric
from onstage.validation import validate_float, validate_int


class _Confusion(Metric):
    """The base of both: the state is ``[hits, false alarms, misses]``."""

    direction = "max"
    _row: int  # of the state: what makes up the whole, together with the hits

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
        """Check `class_id` against the shape of the outputs; raises ValueError."""
        classes = output_shape[-1] if len(output_shape) > 1 else 1
        if self.class_id is not None and classes is not None and self.class_id >= classes:
            raise ValueError(f"class_id must be less than the {classes} classes, got {self.class_id}")

    def state_shape(self) -> tuple[int, ...]:
        """Give the shape of a state."""
        return (3,)

    def update(self, state: Array, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> None:
        """Add a batch to a state, in place; see `Metric.update`."""
        y_true, y_pred = target_shapes.pair(self.name, y_true, y_pred)
        chosen = ... if self.class_id is None else (..., self.class_id)
        actual, alarm = y_true.astype(bool)[chosen], self._alarms(y_pred)[chosen]
        cases = (actual & alarm, ~actual & alarm, actual & ~alarm)
        if sample_weight is None:
            state += [np.count_nonzero(case) for case in cases]
        else:
            weight = target_shapes.spread(sample_weight, y_true.shape)[chosen]
            state += [weight[case].sum(dtype=np.float64) for case in cases]

    def _alarms(self, y_pred: Array) -> Array:
        threshold = 0.5 if self.thresholds is None else self.thresholds
        if self.top_k is None:
            return np.greater(y_pred, threshold)
        chosen = np.zeros(y_pred.shape, bool)
        greatest = np.argsort(-y_pred, axis=-1, kind="stable")[..., : self.top_k]
        np.put_along_axis(chosen, greatest, True, -1)
        return chosen if self.thresholds is None else chosen & (y_pred > threshold)

    def aggregate(self, state: Array) -> float:
        """Give the metric of all that was added to a state; 0 if that is nothing."""
        hits, others = state[0], state[self._row]
        return float(hits / (hits + others)) if hits + others else 0.0

    def get_config(self) -> dict[str, Any]:
        """Give the constructor's arguments."""
        own = ("thresholds", "top_k", "class_id")
        return super().get_config() | {each: getattr(self, each) for each in own}


class Precision(_Confusion):
    """The share of positive predictions that are right.

    Parameters
    ----------
    thresholds
        Outputs above it are positive predictions; in [0, 1], 0.5 if not given.
        One number: logs hold one value for each name.
    top_k
        Take for positive the `top_k` greatest outputs of a sample instead; if
        `thresholds` is given, those of them above it.
    class_id
        Look at this class alone, counted from 0.
    """

    _row = 1


class Recall(_Confusion):
    """The share of positive targets that are predicted.

    Parameters
    ----------
    thresholds, top_k, class_id
        As those of `Precision`.
    """

    _row = 2


def _threshold(thresholds: float | Sequence[float]) -> float:
    several = [thresholds] if isinstance(thresholds, int | float) else list(thresholds)
    if len(several) != 1:
        raise ValueError(
            f"thresholds must be one number, got {several}; make one metric for each, with names of their own"
        )
    return validate_float("thresholds", several[0], 0, 1)
