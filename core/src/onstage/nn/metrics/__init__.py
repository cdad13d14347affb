"""Metrics: what the logs tell about predictions besides the loss."""

from __future__ import annotations

from collections.abc import Sequence

from onstage.nn import registry
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
from onstage.nn.metrics.regression import MeanAbsoluteError, MeanSquaredError, RootMeanSquaredError
from onstage.nn.shapes import TargetKind, target_kind

__all__ = [
    "AUC",
    "Accuracy",
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "F1Score",
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

_METRICS: dict[str, type[Metric]] = registry.by_name(
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

_ACCURACIES: dict[TargetKind, type[Metric]] = {
    "binary": BinaryAccuracy,
    "sparse": SparseCategoricalAccuracy,
    "categorical": CategoricalAccuracy,
}


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
        ``"accuracy"``, ``"auc"``, ``"mse"``; a saved configuration; or a
        function of ``(y_true, y_pred)``, see `MeanMetricWrapper`.
    output_shape, target_shape
        With the batch axis first, whose length may be None. ``"accuracy"`` and
        ``"acc"`` are chosen by them, as `shapes.target_kind` says.

    Raises
    ------
    ValueError
        The name is unknown, the metric does not fit the outputs, or accuracy
        is asked for without shapes.
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
    if isinstance(identifier, str):
        if identifier.lower() in ("accuracy", "acc"):
            if output_shape is None or target_shape is None:
                raise ValueError(
                    f"metric {identifier!r} needs output_shape and target_shape to be chosen by; "
                    "name the one you mean, such as 'sparse_categorical_accuracy'"
                )
            return _ACCURACIES[target_kind(target_shape, output_shape)](identifier)
        metric = registry.make("metric", identifier, _METRICS)
        metric.name = identifier
        return metric
    if callable(identifier) and not isinstance(identifier, type):
        return MeanMetricWrapper(identifier)
    return registry.make("metric", identifier, _METRICS)
