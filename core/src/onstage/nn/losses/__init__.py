"""Losses: the value that training minimizes."""

from __future__ import annotations

from onstage.nn import serialization
from onstage.nn.losses.base import BoundLoss, ElementLoss, Loss
from onstage.nn.losses.categorical import CategoricalCrossentropy, SparseCategoricalCrossentropy
from onstage.nn.losses.crossentropy import BinaryCrossentropy
from onstage.nn.losses.function import FunctionLoss
from onstage.nn.losses.pointwise import Hinge, Huber, MeanAbsoluteError, MeanSquaredError

__all__ = [
    "BinaryCrossentropy",
    "BoundLoss",
    "CategoricalCrossentropy",
    "ElementLoss",
    "FunctionLoss",
    "Hinge",
    "Huber",
    "Loss",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "SparseCategoricalCrossentropy",
    "get",
]

_CLASSES: tuple[type[Loss], ...] = (
    MeanSquaredError,
    MeanAbsoluteError,
    Huber,
    Hinge,
    BinaryCrossentropy,
    CategoricalCrossentropy,
    SparseCategoricalCrossentropy,
)
TABLE: dict[str, type[Loss]] = serialization.by_name(
    _CLASSES,
    mse=MeanSquaredError,
    MSE=MeanSquaredError,
    mae=MeanAbsoluteError,
    MAE=MeanAbsoluteError,
    bce=BinaryCrossentropy,
    BCE=BinaryCrossentropy,
)
"""All names that `get` accepts."""


def get(identifier: object) -> Loss:
    """Return a loss from a name, configuration, class, instance or function.

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
        return FunctionLoss(identifier)
    return serialization.deserialize("loss", identifier, TABLE)
