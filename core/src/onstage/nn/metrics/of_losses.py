"""Losses as metrics of their own class, under the names that Keras gives them."""

from __future__ import annotations

from typing import Any, ClassVar

from onstage.model import Array
from onstage.nn import losses
from onstage.nn.metrics.loss import LossMetric


class _OfLoss(LossMetric):
    """Base class: the mean of a loss without settings."""

    kind: ClassVar[type[losses.Loss]]
    counts_objects = False

    def __init__(self, name: str | None = None) -> None:
        super().__init__(self.kind(), name)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"name": self.name}


class MeanAbsolutePercentageError(_OfLoss):
    """Mean of ``100 |y_true - y_pred| / |y_true|``; see `losses.MeanAbsolutePercentageError`."""

    kind = losses.MeanAbsolutePercentageError


class MeanSquaredLogarithmicError(_OfLoss):
    """Mean of ``(log(1 + y_true) - log(1 + y_pred))²``; see `losses.MeanSquaredLogarithmicError`."""

    kind = losses.MeanSquaredLogarithmicError


class LogCoshError(_OfLoss):
    """Mean of ``log(cosh(y_pred - y_true))``; see `losses.LogCosh`."""

    kind = losses.LogCosh

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name or "logcosh")


class Poisson(_OfLoss):
    """Mean of ``y_pred - y_true log(y_pred)``; see `losses.Poisson`."""

    kind = losses.Poisson


class KLDivergence(_OfLoss):
    """Mean of ``sum(y_true log(y_true / y_pred))``; see `losses.KLDivergence`."""

    kind = losses.KLDivergence


class Hinge(_OfLoss):
    """Mean of ``max(1 - y_true y_pred, 0)``; see `losses.Hinge`."""

    kind = losses.Hinge


class SquaredHinge(_OfLoss):
    """Mean of ``max(1 - y_true y_pred, 0)²``; see `losses.SquaredHinge`."""

    kind = losses.SquaredHinge


class CategoricalHinge(_OfLoss):
    """Mean of the margin between classes; see `losses.CategoricalHinge`."""

    kind = losses.CategoricalHinge


class CosineSimilarity(_OfLoss):
    """Mean cosine of the angle between targets and outputs, over the last axis.

    Unlike the loss of this name, which is its negative, it is best at 1.

    Examples
    --------
    >>> metric = CosineSimilarity()
    >>> metric.update_state([[0.0, 1.0], [1.0, 0.0]], [[0.0, 3.0], [0.0, 1.0]])
    >>> metric.result()
    0.5
    """

    kind = losses.CosineSimilarity
    direction = "max"

    def values(self, y_true: Array, y_pred: Array) -> Array:
        """Return the cosine of each sample."""
        return -super().values(y_true, y_pred)


class BinaryCrossentropy(LossMetric):
    """Mean of `losses.BinaryCrossentropy`; see `LossMetric`.

    Parameters
    ----------
    from_logits, label_smoothing
        As in the loss.
    """

    counts_objects = False

    def __init__(
        self, name: str | None = None, from_logits: bool = False, label_smoothing: float = 0.0
    ) -> None:
        super().__init__(losses.BinaryCrossentropy(from_logits, label_smoothing), name)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"name": self.name, **self.loss.get_config()}


class CategoricalCrossentropy(LossMetric):
    """Mean of `losses.CategoricalCrossentropy`; see `LossMetric`.

    Parameters
    ----------
    from_logits, label_smoothing
        As in the loss.
    """

    counts_objects = False

    def __init__(
        self, name: str | None = None, from_logits: bool = False, label_smoothing: float = 0.0
    ) -> None:
        super().__init__(losses.CategoricalCrossentropy(from_logits, label_smoothing), name)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"name": self.name, **self.loss.get_config()}


class SparseCategoricalCrossentropy(LossMetric):
    """Mean of `losses.SparseCategoricalCrossentropy`; see `LossMetric`.

    Parameters
    ----------
    from_logits
        As in the loss.
    """

    counts_objects = False

    def __init__(self, name: str | None = None, from_logits: bool = False) -> None:
        super().__init__(losses.SparseCategoricalCrossentropy(from_logits), name)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"name": self.name, **self.loss.get_config()}
