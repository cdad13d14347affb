"""Initializers: the initial weights of a layer.

Examples
--------
>>> from onstage import initializers
>>> from onstage.layers import Dense
>>> layer = Dense(10, kernel_initializer="he_normal")
>>> layer = Dense(10, kernel_initializer=initializers.TruncatedNormal(stddev=0.1, seed=0))
"""

from __future__ import annotations

import numpy as np

from onstage.nn import serialization
from onstage.nn.initializers.base import Constant, Initializer, Ones, RandomInitializer, Zeros
from onstage.nn.initializers.custom import FromArray, FromFunction
from onstage.nn.initializers.orthogonal import Orthogonal
from onstage.nn.initializers.random import RandomNormal, RandomUniform, TruncatedNormal
from onstage.nn.initializers.variance_scaling import (
    TRUNCATED_STDDEV,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    VarianceScaling,
    fans,
)

__all__ = [
    "TRUNCATED_STDDEV",
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "RandomInitializer",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "fans",
    "get",
]

_INITIALIZERS: dict[str, type[Initializer]] = serialization.by_name(
    [
        *(Zeros, Ones, Constant, RandomNormal, TruncatedNormal, RandomUniform, VarianceScaling, Orthogonal),
        *(GlorotUniform, GlorotNormal, HeUniform, HeNormal, LecunUniform, LecunNormal),
    ],
    zero=Zeros,
    one=Ones,
    normal=RandomNormal,
    uniform=RandomUniform,
)


def get(identifier: object) -> Initializer:
    """Return an initializer.

    Parameters
    ----------
    identifier
        Instance; name such as ``"he_normal"`` or ``"HeNormal"``; saved
        configuration; array of the values; or function of ``(shape, dtype)``
        or ``(shape, rng, dtype)``.

    Raises
    ------
    ValueError
        If the name is unknown.
    TypeError
        If the identifier has an unsupported type.
    """
    if isinstance(identifier, Initializer):
        return identifier
    if isinstance(identifier, np.ndarray):
        return FromArray(identifier)
    if callable(identifier) and not isinstance(identifier, type):
        return FromFunction(identifier)
    return serialization.deserialize("initializer", identifier, _INITIALIZERS)
