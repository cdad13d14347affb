"""AUC: the area under a curve over all thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onstage.model import Array
from onstage.nn import target_shapes
from onstage.nn.metrics.base import Metric
from onstage.validation import validate_bool, validate_choice, validate_float, validate_int

MAX_THRESHOLDS = 1_000_000


class AUC(Metric):
    """The area under the ROC or the precision-recall curve.

    The state is a histogram of the outputs between thresholds, one row for the
    positive and one for the negative targets: a batch costs the same however
    many thresholds there are, and the curve is drawn when it is asked for.

    Parameters
    ----------
    num_thresholds
        Points of the curve, at least 2, evenly over [0, 1].
    curve
        ``"ROC"``: hits over false alarms; ``"PR"``: precision over recall.
    summation_method
        ``"interpolation"``, or the lower or upper sum: ``"minoring"``,
        ``"majoring"``. The interpolation of PR is that of the true positives,
        not of the precision.
    thresholds
        The inner points of the curve instead, in [0, 1].
    from_logits
        Whether outputs are logits; otherwise they must lie in [0, 1].

    References
    ----------
    Davis, Goadrich: *The Relationship Between Precision-Recall and ROC Curves*
    (2006), for the interpolation of PR.
    """

    direction = "max"

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        thresholds: Sequence[float] | None = None,
        from_logits: bool = False,
    ) -> None:
        super().__init__(name)
        self.curve = validate_choice(
            "curve", curve.upper() if isinstance(curve, str) else curve, ("ROC", "PR")
        )
        self.summation_method = validate_choice(
            "summation_method", summation_method, ("interpolation", "minoring", "majoring")
        )
        self.from_logits = validate_bool("from_logits", from_logits)
        self.num_thresholds = validate_int("num_thresholds", num_thresholds, 2)
        if num_thresholds > MAX_THRESHOLDS:  # a file may ask for any number
            raise ValueError(f"num_thresholds must be at most {MAX_THRESHOLDS:,}, got {num_thresholds}")
        self.thresholds = None
        if thresholds is not None:
            self.thresholds = sorted(validate_float("thresholds", each, 0, 1) for each in thresholds)
            self.num_thresholds = len(self.thresholds) + 2

    def state_shape(self) -> tuple[int, ...]:
        """Give the shape of a state."""
        return (2, self.num_thresholds - 1)

    def update(self, state: Array, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> None:
        """Add a batch to a state, in place; see `Metric.update`."""
        y_true, y_pred = target_shapes.pair(self.name, y_true, y_pred)
        if self.from_logits:
            # tanh cannot overflow where exp could.
            y_pred = 0.5 * np.tanh(0.5 * y_pred) + 0.5
        cell = self._cells(y_pred.reshape(-1))
        cell += np.where(y_true.reshape(-1).astype(bool), 0, state.shape[1])
        weight = (
            None if sample_weight is None else target_shapes.spread(sample_weight, y_true.shape).reshape(-1)
        )
        state += np.bincount(cell, weight, state.size).reshape(state.shape)

    def _cells(self, y_pred: Array) -> Array:
        """Tell between which thresholds each output lies, the lower one excluded."""
        if self.thresholds is None:
            cells = self.num_thresholds - 1
            # fmax and fmin pass over NaN: a diverged model's outputs count as 0.
            place = np.fmin(np.fmax(np.ceil(y_pred * cells), 1.0), cells)
            return np.asarray(place.astype(np.intp) - 1)
        return np.asarray(np.searchsorted(np.array(self.thresholds, y_pred.dtype), y_pred, "left"))

    def aggregate(self, state: Array) -> float:
        """Give the area for all that was added to a state; 0 if that is nothing."""
        # For each threshold, what lies above it: the last has nothing.
        hits, alarms = np.pad(np.flip(np.cumsum(np.flip(state, 1), 1), 1), ((0, 0), (0, 1)))
        recall, precision = _share(hits, hits[0]), _share(hits, hits + alarms)
        if self.curve == "ROC":
            return self._area(_share(alarms, alarms[0]), recall)
        if self.summation_method == "interpolation":
            return _interpolated_pr(hits, alarms)
        return self._area(recall, precision)

    def _area(self, x: Array, y: Array) -> float:
        left, right = y[:-1], y[1:]
        heights = {
            "interpolation": (left + right) / 2.0,
            "minoring": np.minimum(left, right),
            "majoring": np.maximum(left, right),
        }[self.summation_method]
        return float(((x[:-1] - x[1:]) * heights).sum())

    def get_config(self) -> dict[str, Any]:
        """Give the constructor's arguments."""
        own = ("num_thresholds", "curve", "summation_method", "thresholds", "from_logits")
        return super().get_config() | {each: getattr(self, each) for each in own}


def _interpolated_pr(hits: Array, alarms: Array) -> float:
    """Integrate the precision along straight lines between (hits, alarms) points."""
    positive = hits + alarms
    new_hits, new_positive = -np.diff(hits), -np.diff(positive)
    slope = _share(new_hits, new_positive)
    intercept = hits[1:] - slope * positive[1:]
    both = (positive[:-1] > 0) & (positive[1:] > 0)
    ratio = np.where(both, positive[:-1], 1.0) / np.where(both, positive[1:], 1.0)
    # Not the hits above a threshold but all positive targets: those above the first.
    return float(_share(slope * (new_hits + intercept * np.log(ratio)), hits[0]).sum())


def _share(part: Array, whole: Array) -> Array:
    """Divide; 0 where the whole is 0."""
    return np.divide(part, whole, out=np.zeros_like(part), where=np.asarray(whole) != 0)
