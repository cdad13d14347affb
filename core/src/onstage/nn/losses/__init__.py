"""Losses: the value that training minimizes."""

from __future__ import annotations

from types import FunctionType

from onstage.nn import serialization
from onstage.nn.losses.base import BoundLoss, ElementLoss, Loss
from onstage.nn.losses.categorical import CategoricalCrossentropy, SparseCategoricalCrossentropy
from onstage.nn.losses.crossentropy import BinaryCrossentropy
from onstage.nn.losses.function import FunctionLoss
from onstage.nn.losses.per_sample import (
    BCE,
    CLASSES,
    KLD,
    MAE,
    MAPE,
    MSE,
    MSLE,
    bce,
    binary_crossentropy,
    categorical_crossentropy,
    categorical_hinge,
    cosine_similarity,
    hinge,
    huber,
    kl_divergence,
    kld,
    log_cosh,
    mae,
    mape,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    mse,
    msle,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
)
from onstage.nn.losses.pointwise import (
    Hinge,
    Huber,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    SquaredHinge,
)
from onstage.nn.losses.vectors import CategoricalHinge, CosineSimilarity, KLDivergence

__all__ = [
    "BCE",
    "KLD",
    "MAE",
    "MAPE",
    "MSE",
    "MSLE",
    "BinaryCrossentropy",
    "BoundLoss",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "CosineSimilarity",
    "ElementLoss",
    "FunctionLoss",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Poisson",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "bce",
    "binary_crossentropy",
    "categorical_crossentropy",
    "categorical_hinge",
    "cosine_similarity",
    "get",
    "hinge",
    "huber",
    "kl_divergence",
    "kld",
    "log_cosh",
    "mae",
    "mape",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "mse",
    "msle",
    "poisson",
    "sparse_categorical_crossentropy",
    "squared_hinge",
]

_ALIASES: dict[str, type[Loss]] = {
    **{name: MeanSquaredError for name in ("mse", "MSE")},
    **{name: MeanAbsoluteError for name in ("mae", "MAE")},
    **{name: MeanAbsolutePercentageError for name in ("mape", "MAPE")},
    **{name: MeanSquaredLogarithmicError for name in ("msle", "MSLE")},
    **{name: KLDivergence for name in ("kld", "KLD", "kullback_leibler_divergence")},
    **{name: BinaryCrossentropy for name in ("bce", "BCE")},
    "logcosh": LogCosh,
}
TABLE: dict[str, type[Loss]] = serialization.by_name(CLASSES.values(), **_ALIASES)
"""All names that `get` accepts."""


def get(identifier: object) -> Loss:
    """Return a loss from a name, configuration, class, instance or function.

    A function of this module stands for its class, with default arguments.

    Raises
    ------
    ValueError
        If the name is unknown.
    TypeError
        If it has another type.
    """
    if isinstance(identifier, Loss):
        return identifier
    if callable(identifier) and not isinstance(identifier, type):
        known = CLASSES.get(identifier) if isinstance(identifier, FunctionType) else None
        return FunctionLoss(identifier) if known is None else known()
    return serialization.deserialize("loss", identifier, TABLE)
