"""Initializers from an array or a custom function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from onstage.model import Array
from onstage.nn.initializers.base import Initializer


class FromFunction(Initializer):
    """Initialize by ``function(shape, dtype)`` or ``function(shape, rng, dtype)``."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self._takes_rng = "rng" in signature(function).parameters

    def __call__(
        self, shape: Sequence[int], rng: np.random.Generator, dtype: DTypeLike = np.float32
    ) -> Array:
        """Return the function's values; raise ValueError if their shape is wrong."""
        extra = {"rng": rng} if self._takes_rng else {}
        values = np.array(self.function(tuple(shape), dtype=dtype, **extra), dtype, order="C")
        return _check_result(
            values, shape, f"initializer {getattr(self.function, '__name__', self.function)}"
        )

    def get_config(self) -> dict[str, Any]:
        """Raise TypeError: a file can't hold it."""
        raise TypeError(
            f"initializer {self.function!r} is a function and cannot be saved; use an initializer by name"
        )


class FromArray(Initializer):
    """Initialize to an array of values."""

    def __init__(self, values: Array) -> None:
        self.values = values

    def __call__(
        self, shape: Sequence[int], rng: np.random.Generator, dtype: DTypeLike = np.float32
    ) -> Array:
        """Return a copy; raise ValueError if the shape is different."""
        return _check_result(self.values.astype(dtype, order="C"), shape, "initializer array")

    def get_config(self) -> dict[str, Any]:
        """Raise TypeError: a file can't hold it."""
        raise TypeError("initializer is an array and cannot be saved; use an initializer by name")


def _check_result(values: Array, shape: Sequence[int], name: str) -> Array:
    if values.shape != tuple(shape):
        raise ValueError(f"{name} must have the shape {tuple(shape)}, got {values.shape}")
    return values
