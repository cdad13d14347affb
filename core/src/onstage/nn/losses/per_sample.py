"""Losses as functions of arrays: the loss of each sample, under Keras's names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from onstage.model import Array
from onstage.nn.losses import categorical, crossentropy, pointwise, vectors
from onstage.nn.losses.base import Loss


def mean_squared_error(y_true: Any, y_pred: Any) -> Array:
    """Return the `MeanSquaredError` of each sample."""
    return pointwise.MeanSquaredError().sample_losses(y_true, y_pred)


def mean_absolute_error(y_true: Any, y_pred: Any) -> Array:
    """Return the `MeanAbsoluteError` of each sample."""
    return pointwise.MeanAbsoluteError().sample_losses(y_true, y_pred)


def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> Array:
    """Return the `MeanAbsolutePercentageError` of each sample."""
    return pointwise.MeanAbsolutePercentageError().sample_losses(y_true, y_pred)


def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> Array:
    """Return the `MeanSquaredLogarithmicError` of each sample."""
    return pointwise.MeanSquaredLogarithmicError().sample_losses(y_true, y_pred)


def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Array:
    """Return the `Huber` loss of each sample."""
    return pointwise.Huber(delta).sample_losses(y_true, y_pred)


def log_cosh(y_true: Any, y_pred: Any) -> Array:
    """Return the `LogCosh` loss of each sample."""
    return pointwise.LogCosh().sample_losses(y_true, y_pred)


def poisson(y_true: Any, y_pred: Any) -> Array:
    """Return the `Poisson` loss of each sample."""
    return pointwise.Poisson().sample_losses(y_true, y_pred)


def hinge(y_true: Any, y_pred: Any) -> Array:
    """Return the `Hinge` loss of each sample."""
    return pointwise.Hinge().sample_losses(y_true, y_pred)


def squared_hinge(y_true: Any, y_pred: Any) -> Array:
    """Return the `SquaredHinge` loss of each sample."""
    return pointwise.SquaredHinge().sample_losses(y_true, y_pred)


def categorical_hinge(y_true: Any, y_pred: Any) -> Array:
    """Return the `CategoricalHinge` loss of each sample."""
    return vectors.CategoricalHinge().sample_losses(y_true, y_pred)


def cosine_similarity(y_true: Any, y_pred: Any) -> Array:
    """Return the `CosineSimilarity` loss of each sample: minus the cosine."""
    return vectors.CosineSimilarity().sample_losses(y_true, y_pred)


def kl_divergence(y_true: Any, y_pred: Any) -> Array:
    """Return the `KLDivergence` of each sample."""
    return vectors.KLDivergence().sample_losses(y_true, y_pred)


def binary_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0
) -> Array:
    """Return the `BinaryCrossentropy` of each sample."""
    return crossentropy.BinaryCrossentropy(from_logits, label_smoothing).sample_losses(y_true, y_pred)


def categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0
) -> Array:
    """Return the `CategoricalCrossentropy` of each sample."""
    return categorical.CategoricalCrossentropy(from_logits, label_smoothing).sample_losses(y_true, y_pred)


def sparse_categorical_crossentropy(y_true: Any, y_pred: Any, from_logits: bool = False) -> Array:
    """Return the `SparseCategoricalCrossentropy` of each sample."""
    return categorical.SparseCategoricalCrossentropy(from_logits).sample_losses(y_true, y_pred)


mse = MSE = mean_squared_error
mae = MAE = mean_absolute_error
mape = MAPE = mean_absolute_percentage_error
msle = MSLE = mean_squared_logarithmic_error
kld = KLD = kl_divergence
bce = BCE = binary_crossentropy

CLASSES: dict[Callable[..., Array], type[Loss]] = {
    mean_squared_error: pointwise.MeanSquaredError,
    mean_absolute_error: pointwise.MeanAbsoluteError,
    mean_absolute_percentage_error: pointwise.MeanAbsolutePercentageError,
    mean_squared_logarithmic_error: pointwise.MeanSquaredLogarithmicError,
    huber: pointwise.Huber,
    log_cosh: pointwise.LogCosh,
    poisson: pointwise.Poisson,
    hinge: pointwise.Hinge,
    squared_hinge: pointwise.SquaredHinge,
    categorical_hinge: vectors.CategoricalHinge,
    cosine_similarity: vectors.CosineSimilarity,
    kl_divergence: vectors.KLDivergence,
    binary_crossentropy: crossentropy.BinaryCrossentropy,
    categorical_crossentropy: categorical.CategoricalCrossentropy,
    sparse_categorical_crossentropy: categorical.SparseCategoricalCrossentropy,
}
"""The class that stands for a function passed to ``compile``: it has a gradient."""
