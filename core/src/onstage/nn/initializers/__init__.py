"""The weights that a layer starts with."""

from __future__ import annotations

import numpy as np

from onstage.nn import serialization
from onstage.nn.initializers.base import Constant, Initializer, Ones, RandomInitializer, Zeros
from onstage.nn.initializers.given import FromArray, FromFunction
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
    """Give an initializer.

    Parameters
    ----------
    identifier
        An instance; a name such as ``"he_normal"`` or ``"HeNormal"``; a saved
        configuration; an array, for these very values; or a function of
        ``(shape, dtype)`` or of ``(shape, rng, dtype)``.

    Raises
    ------
    ValueError
        The name is unknown.
    TypeError
        It is nothing of that kind.
    """
    if isinstance(identifier, Initializer):
        return identifier
    if isinstance(identifier, np.ndarray):
        return FromArray(identifier)
    if callable(identifier) and not isinstance(identifier, type):
        return FromFunction(identifier)
    return serialization.make("initializer", identifier, _INITIALIZERS)
