"""AUC: the area under the ROC or the precision-recall curve."""

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
    """Area under the ROC or the precision-recall curve.

    The state is a histogram of the outputs between thresholds, one row for
    positive and one for negative targets. The cost of a batch is independent of
    the number of thresholds; the curve is computed by `result`.

    Parameters
    ----------
    num_thresholds
        Number of points of the curve, at least 2, evenly spaced over [0, 1].
    curve
        ``"ROC"``: true over false positive rate; ``"PR"``: precision over
        recall.
    summation_method
        ``"interpolation"``, or the lower or upper sum: ``"minoring"``,
        ``"majoring"``. For PR, true positives are interpolated rather than the
        precision.
    thresholds
        Inner thresholds to use instead, in [0, 1].
    from_logits
        Whether outputs are logits; otherwise they must be in [0, 1].

    References
    ----------
    Davis, Goadrich: *The Relationship Between Precision-Recall and ROC Curves*
    (2006), for the interpolation of PR.

    Examples
    --------
    >>> metric = AUC()
    >>> metric.update_state([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.9])
    >>> round(metric.result(), 2)
    0.75
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
        if num_thresholds > MAX_THRESHOLDS:  # a file may request any number
            raise ValueError(f"num_thresholds must be at most {MAX_THRESHOLDS:,}, got {num_thresholds}")
        self.thresholds = None
        if thresholds is not None:
            self.thresholds = sorted(validate_float("thresholds", each, 0, 1) for each in thresholds)
            self.num_thresholds = len(self.thresholds) + 2

    def state_shape(self) -> tuple[int, ...]:
        """Return the shape of a state."""
        return (2, self.num_thresholds - 1)

    def update(self, state: Array, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> None:
        """Add a batch to a state, in place; see `Metric.update`."""
        y_true, y_pred = target_shapes.match_shapes(self.name, y_true, y_pred)
        if self.from_logits:
            # tanh cannot overflow, unlike exp.
            y_pred = 0.5 * np.tanh(0.5 * y_pred) + 0.5
        cell = self._cells(y_pred.reshape(-1))
        cell += np.where(y_true.reshape(-1).astype(bool), 0, state.shape[1])
        weight = (
            None
            if sample_weight is None
            else target_shapes.broadcast_weights(sample_weight, y_true.shape).reshape(-1)
        )
        state += np.bincount(cell, weight, state.size).reshape(state.shape)

    def _cells(self, y_pred: Array) -> Array:
        """Return each output's interval of thresholds; the lower bound is exclusive."""
        if self.thresholds is None:
            cells = self.num_thresholds - 1
            # fmax and fmin ignore NaN: outputs of a diverged model count as 0.
            place = np.fmin(np.fmax(np.ceil(y_pred * cells), 1.0), cells)
            return np.asarray(place.astype(np.intp) - 1)
        return np.asarray(np.searchsorted(np.array(self.thresholds, y_pred.dtype), y_pred, "left"))

    def aggregate(self, state: Array) -> float:
        """Return the area for a state; 0 if nothing was added."""
        # Counts above each threshold; above the last there are none.
        above = np.pad(np.flip(np.cumsum(np.flip(state, 1), 1), 1), ((0, 0), (0, 1)))
        true_positives, false_positives = above
        recall = _share(true_positives, true_positives[0])
        precision = _share(true_positives, above.sum(0))
        if self.curve == "ROC":
            return self._area(_share(false_positives, false_positives[0]), recall)
        if self.summation_method == "interpolation":
            return _interpolate_pr(true_positives, false_positives)
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
        """Return the constructor's arguments."""
        own = ("num_thresholds", "curve", "summation_method", "thresholds", "from_logits")
        return super().get_config() | {each: getattr(self, each) for each in own}


def _interpolate_pr(true_positives: Array, false_positives: Array) -> float:
    """Integrate the precision, interpolating the positives linearly between points."""
    positive = true_positives + false_positives
    new_true_positives, new_positive = -np.diff(true_positives), -np.diff(positive)
    slope = _share(new_true_positives, new_positive)
    intercept = true_positives[1:] - slope * positive[1:]
    both = (positive[:-1] > 0) & (positive[1:] > 0)
    ratio = np.where(both, positive[:-1], 1.0) / np.where(both, positive[1:], 1.0)
    # All positive targets: the true positives above the first threshold.
    return float(_share(slope * (new_true_positives + intercept * np.log(ratio)), true_positives[0]).sum())


def _share(part: Array, whole: Array) -> Array:
    """Divide elementwise; 0 where the whole is 0."""
    return np.divide(part, whole, out=np.zeros_like(part), where=np.asarray(whole) != 0)
