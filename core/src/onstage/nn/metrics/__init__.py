"""Metrics: values about predictions that are logged besides the loss."""

from __future__ import annotations

from collections.abc import Sequence
from types import FunctionType

from onstage.nn import losses, serialization
from onstage.nn.losses.per_sample import CLASSES
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
from onstage.nn.metrics.of_losses import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    CategoricalHinge,
    CosineSimilarity,
    Hinge,
    KLDivergence,
    LogCoshError,
    MeanAbsolutePercentageError,
    MeanSquaredLogarithmicError,
    Poisson,
    SparseCategoricalCrossentropy,
    SquaredHinge,
)
from onstage.nn.metrics.r2 import R2Score
from onstage.nn.metrics.regression import MeanAbsoluteError, MeanSquaredError, RootMeanSquaredError
from onstage.nn.target_shapes import TargetKind, target_kind

__all__ = [
    "AUC",
    "BY_SHAPE",
    "Accuracy",
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "CosineSimilarity",
    "F1Score",
    "Hinge",
    "KLDivergence",
    "LogCoshError",
    "LossMetric",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanMetric",
    "MeanMetricWrapper",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Metric",
    "Poisson",
    "Precision",
    "R2Score",
    "Recall",
    "RootMeanSquaredError",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy",
    "SquaredHinge",
    "TopKCategoricalAccuracy",
    "get",
]

_METRICS: dict[str, type[Metric]] = serialization.by_name(
    [
        *(Accuracy, BinaryAccuracy, CategoricalAccuracy, SparseCategoricalAccuracy),
        *(TopKCategoricalAccuracy, SparseTopKCategoricalAccuracy, AUC, F1Score, Precision, Recall),
        *(MeanSquaredError, MeanAbsoluteError, RootMeanSquaredError, MeanAbsolutePercentageError),
        *(MeanSquaredLogarithmicError, LogCoshError, Poisson, KLDivergence, CosineSimilarity, R2Score),
        *(Hinge, SquaredHinge, CategoricalHinge),
    ],
    mse=MeanSquaredError,
    MSE=MeanSquaredError,
    mae=MeanAbsoluteError,
    MAE=MeanAbsoluteError,
    mape=MeanAbsolutePercentageError,
    MAPE=MeanAbsolutePercentageError,
    msle=MeanSquaredLogarithmicError,
    MSLE=MeanSquaredLogarithmicError,
    logcosh=LogCoshError,
)
# As names, LossMetric has none, and those of the cross-entropies stand for the losses.
_CONFIGURED: dict[str, type[Metric]] = _METRICS | {
    each.__name__: each
    for each in (LossMetric, BinaryCrossentropy, CategoricalCrossentropy, SparseCategoricalCrossentropy)
}
# A loss's name is a metric too, unless a metric has that name.
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
"""Lower-case names whose metric depends on the shapes."""


def get(
    identifier: object,
    *,
    output_shape: Sequence[int | None] | None = None,
    target_shape: Sequence[int | None] | None = None,
) -> Metric:
    """Return a metric, built for the output shape if given.

    Parameters
    ----------
    identifier
        Instance; name, also used in the logs, such as ``"accuracy"``,
        ``"auc"``, ``"mse"`` or a loss's name; saved configuration; loss; or
        function of ``(y_true, y_pred)``, see `MeanMetricWrapper`.
    output_shape, target_shape
        Batch axis first, whose length may be None. They determine the metric
        of a name in `BY_SHAPE`: see `target_shapes.target_kind`.

    Raises
    ------
    ValueError
        If the name is unknown, the metric does not fit the outputs, or a name
        in `BY_SHAPE` is passed without shapes.
    TypeError
        If the identifier has an unsupported type.
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
    if isinstance(identifier, FunctionType) and identifier in CLASSES:
        return LossMetric(CLASSES[identifier](), name=identifier.__name__)
    if callable(identifier) and not isinstance(identifier, type):
        return MeanMetricWrapper(identifier)
    if not isinstance(identifier, str):
        return serialization.deserialize("metric", identifier, _CONFIGURED)
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
            f"output_shape and target_shape must be given for the metric {name!r}; "
            "or use a specific name, such as 'sparse_categorical_accuracy'"
        )
    kind = target_kind(target_shape, output_shape)
    if name.lower() in ("accuracy", "acc"):
        return _ACCURACIES[kind](name)
    return LossMetric(_CROSSENTROPIES[kind](), name)
