"""Weights from a user's array or function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from onstage.model import Array
from onstage.nn.initializers.base import Initializer


class FromFunction(Initializer):
    """A user's ``function(shape, dtype)``, or ``function(shape, rng, dtype)``."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self._takes_rng = "rng" in signature(function).parameters

    def __call__(
        self, shape: Sequence[int], rng: np.random.Generator, dtype: DTypeLike = np.float32
    ) -> Array:
        """Return the function's values; raises ValueError if they have another shape."""
        extra = {"rng": rng} if self._takes_rng else {}
        values = np.array(self.function(tuple(shape), dtype=dtype, **extra), dtype, order="C")
        return _of_shape(values, shape, f"initializer {getattr(self.function, '__name__', self.function)}")

    def get_config(self) -> dict[str, Any]:
        """Raise TypeError: a file can't hold it."""
        raise TypeError(
            f"initializer {self.function!r} cannot be saved, it is a function; use an initializer by name"
        )


class FromArray(Initializer):
    """The values themselves."""

    def __init__(self, values: Array) -> None:
        self.values = values

    def __call__(
        self, shape: Sequence[int], rng: np.random.Generator, dtype: DTypeLike = np.float32
    ) -> Array:
        """Return a copy; raises ValueError if the shape is another."""
        return _of_shape(self.values.astype(dtype, order="C"), shape, "initializer array")

    def get_config(self) -> dict[str, Any]:
        """Raise TypeError: a file can't hold it."""
        raise TypeError("initializer array cannot be saved; use one of the initializers by name")


def _of_shape(values: Array, shape: Sequence[int], what: str) -> Array:
    if values.shape != tuple(shape):
        raise ValueError(f"{what} must have the shape {tuple(shape)}, got {values.shape}")
    return values
