"""Initializers with a fixed distribution."""

from __future__ import annotations

from typing import Any

import numpy as np

from onstage.model import Array
from onstage.nn.initializers.base import RandomInitializer
from onstage.validation import validate_float


class RandomNormal(RandomInitializer):
    """A normal distribution."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean = validate_float("mean", mean)
        self.stddev = validate_float("stddev", stddev, 0)

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Draw float64 values of a shape."""
        return rng.normal(self.mean, self.stddev, shape)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"mean": self.mean, "stddev": self.stddev, "seed": self.seed}


class TruncatedNormal(RandomNormal):
    """A normal distribution truncated at two standard deviations from its mean.

    `stddev` is that before truncation; afterwards it is 0.88 times as large.
    """

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Draw float64 values of a shape."""
        return self.mean + self.stddev * truncated_standard_normal(shape, rng)


class RandomUniform(RandomInitializer):
    """A uniform distribution over [minval, maxval)."""

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.minval = validate_float("minval", minval)
        self.maxval = validate_float("maxval", maxval, self.minval)

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Draw float64 values of a shape."""
        return rng.uniform(self.minval, self.maxval, shape)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"minval": self.minval, "maxval": self.maxval, "seed": self.seed}


def truncated_standard_normal(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Draw from a standard normal distribution truncated at two deviations."""
    values = rng.standard_normal(shape).reshape(-1)
    outside = np.flatnonzero(np.abs(values) > 2.0)
    while outside.size:
        values[outside] = rng.standard_normal(outside.size)
        outside = outside[np.abs(values[outside]) > 2.0]
    return values.reshape(shape)
