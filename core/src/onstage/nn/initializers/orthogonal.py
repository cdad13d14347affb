"""Orthogonal initializer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from onstage.model import Array
from onstage.nn.initializers.base import RandomInitializer
from onstage.validation import validate_float


class Orthogonal(RandomInitializer):
    """A random matrix with orthonormal rows or columns, times `gain`.

    All axes but the last are combined to the rows.

    References
    ----------
    Saxe, McClelland, Ganguli: *Exact solutions to the nonlinear dynamics of
    learning in deep linear neural networks* (2014). Mezzadri: *How to generate
    random matrices from the classical compact groups* (2007), for the signs.
    """

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        super().__init__(seed)
        self.gain = validate_float("gain", gain)

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Draw float64 values; raise ValueError if the shape has fewer than two axes."""
        if len(shape) < 2:
            raise ValueError(f"shape must have at least two axes to be orthogonal, got {shape}")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
        # Makes the distribution uniform: the signs of QR are arbitrary.
        q *= np.where(np.diagonal(r) < 0, -1.0, 1.0)
        return self.gain * (q if rows >= columns else q.T).reshape(shape)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"gain": self.gain, "seed": self.seed}
