"""Base classes of initializers, and constant ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from onstage.model import Array
from onstage.validation import validate_float, validate_int


class Initializer:
    """A function from a shape to an array; subclasses define `__call__`."""

    def __call__(
        self, shape: Sequence[int], rng: np.random.Generator, dtype: DTypeLike = np.float32
    ) -> Array:
        """Return a new array; all randomness comes from `rng`."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(self, shape, rng, dtype)")

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {}


class Constant(Initializer):
    """Initialize to a constant."""

    def __init__(self, value: float = 0.0) -> None:
        self.value = validate_float("value", value)

    def __call__(
        self, shape: Sequence[int], rng: np.random.Generator, dtype: DTypeLike = np.float32
    ) -> Array:
        """Return a new array; `rng` is not used."""
        return np.full(tuple(shape), self.value, dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"value": self.value}


class Zeros(Initializer):
    """Initialize to 0."""

    def __call__(
        self, shape: Sequence[int], rng: np.random.Generator, dtype: DTypeLike = np.float32
    ) -> Array:
        """Return a new array; `rng` is not used."""
        return np.zeros(tuple(shape), dtype)


class Ones(Initializer):
    """Initialize to 1."""

    def __call__(
        self, shape: Sequence[int], rng: np.random.Generator, dtype: DTypeLike = np.float32
    ) -> Array:
        """Return a new array; `rng` is not used."""
        return np.ones(tuple(shape), dtype)


class RandomInitializer(Initializer):
    """Base class of random initializers.

    Parameters
    ----------
    seed
        None to draw from the `rng` of the call. With an integer, all calls
        return the same values and ignore `rng`.
    """

    def __init__(self, seed: int | None = None) -> None:
        self.seed = None if seed is None else validate_int("seed", seed, 0)

    def __call__(
        self, shape: Sequence[int], rng: np.random.Generator, dtype: DTypeLike = np.float32
    ) -> Array:
        """Return a new array, drawn from `rng` or from the initializer's seed."""
        rng = rng if self.seed is None else np.random.default_rng(self.seed)
        return self.draw(tuple(shape), rng).astype(dtype, order="C", copy=False)

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Draw float64 values of a shape."""
        raise NotImplementedError(f"{type(self).__name__} must define draw(self, shape, rng)")

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"seed": self.seed}
