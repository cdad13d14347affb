"""Metrics: what the logs tell about predictions besides the loss."""

from __future__ import annotations

from collections.abc import Sequence

from onstage.nn import losses, serialization
from onstage.nn.metrics.accuracy import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
)
from onstage.nn.metrics.auc import AUC
from onstage.nn.metrics.base import MeanMetric, MeanMetricWrapper, Metric
from onstage.nn.metrics.confusion import Precision, Recall
from onstage.nn.metrics.f1 import F1Score
from onstage.nn.metrics.loss import LossMetric
from onstage.nn.metrics.regression import MeanAbsoluteError, MeanSquaredError, RootMeanSquaredError
from onstage.nn.target_shapes import TargetKind, target_kind

__all__ = [
    "AUC",
    "BY_SHAPE",
    "Accuracy",
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "F1Score",
    "LossMetric",
    "MeanAbsoluteError",
    "MeanMetric",
    "MeanMetricWrapper",
    "MeanSquaredError",
    "Metric",
    "Precision",
    "Recall",
    "RootMeanSquaredError",
    "SparseCategoricalAccuracy",
    "SparseTopKCategoricalAccuracy",
    "TopKCategoricalAccuracy",
    "get",
]

_METRICS: dict[str, type[Metric]] = serialization.by_name(
    [
        *(Accuracy, BinaryAccuracy, CategoricalAccuracy, SparseCategoricalAccuracy),
        *(TopKCategoricalAccuracy, SparseTopKCategoricalAccuracy, AUC, F1Score, Precision, Recall),
        *(MeanSquaredError, MeanAbsoluteError, RootMeanSquaredError),
    ],
    mse=MeanSquaredError,
    MSE=MeanSquaredError,
    mae=MeanAbsoluteError,
    MAE=MeanAbsoluteError,
)
# What a saved configuration may name, besides: it holds the loss.
_CONFIGURED: dict[str, type[Metric]] = {**_METRICS, "LossMetric": LossMetric}
# A loss's name is a metric too, where no metric has it.
_NAMES: dict[str, type[Metric] | type[losses.Loss]] = {**losses.TABLE, **_METRICS}

_ACCURACIES: dict[TargetKind, type[Metric]] = {
    "binary": BinaryAccuracy,
    "sparse": SparseCategoricalAccuracy,
    "categorical": CategoricalAccuracy,
}
_CROSSENTROPIES: dict[TargetKind, type[losses.Loss]] = {
    "binary": losses.BinaryCrossentropy,
    "sparse": losses.SparseCategoricalCrossentropy,
    "categorical": losses.CategoricalCrossentropy,
}

BY_SHAPE = frozenset({"accuracy", "acc", "crossentropy", "ce"})
"""Names in lower case that mean one metric or another, by the shapes."""


def get(
    identifier: object,
    *,
    output_shape: Sequence[int | None] | None = None,
    target_shape: Sequence[int | None] | None = None,
) -> Metric:
    """Give a metric, ready for outputs of a shape.

    Parameters
    ----------
    identifier
        An instance; a name, under which it will stand in the logs, such as
        ``"accuracy"``, ``"auc"``, ``"mse"`` or that of a loss; a saved
        configuration; a loss; or a function of ``(y_true, y_pred)``, see
        `MeanMetricWrapper`.
    output_shape, target_shape
        With the batch axis first, whose length may be None. What the names in
        `BY_SHAPE` mean is chosen by them, as `shapes.target_kind` says.

    Raises
    ------
    ValueError
        The name is unknown, the metric does not fit the outputs, or a name of
        `BY_SHAPE` comes without shapes.
    TypeError
        It is nothing of that kind.
    """
    metric = _resolve(identifier, output_shape, target_shape)
    if output_shape is not None:
        metric.build(output_shape)
    return metric


def _resolve(
    identifier: object, output_shape: Sequence[int | None] | None, target_shape: Sequence[int | None] | None
) -> Metric:
    if isinstance(identifier, Metric):
        return identifier
    if isinstance(identifier, losses.Loss):
        return LossMetric(identifier)
    if callable(identifier) and not isinstance(identifier, type):
        return MeanMetricWrapper(identifier)
    if not isinstance(identifier, str):
        return serialization.make("metric", identifier, _CONFIGURED)
    if identifier.lower() in BY_SHAPE:
        return _by_shape(identifier, output_shape, target_shape)
    found = serialization.look_up("metric", identifier, _NAMES)
    if issubclass(found, losses.Loss):
        return LossMetric(found(), name=identifier)
    metric = found()
    metric.name = identifier
    return metric


def _by_shape(
    name: str, output_shape: Sequence[int | None] | None, target_shape: Sequence[int | None] | None
) -> Metric:
    if output_shape is None or target_shape is None:
        raise ValueError(
            f"metric {name!r} needs output_shape and target_shape to be chosen by; "
            "name the one you mean, such as 'sparse_categorical_accuracy'"
        )
    kind = target_kind(target_shape, output_shape)
    if name.lower() in ("accuracy", "acc"):
        return _ACCURACIES[kind](name)
    return LossMetric(_CROSSENTROPIES[kind](), name)
