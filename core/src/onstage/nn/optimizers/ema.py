"""Moving average of a model's weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onstage.model import Array


class MovingAverage:
    """An exponential moving average of the flat parameters.

    After each step, ``average = momentum * average + (1 - momentum) * weights``;
    after the first step the average equals the weights.

    Parameters
    ----------
    weights
        Flat parameters; `update`, `finalize` and `swap` change them in place.
    momentum
        Fraction of the average kept at each step, in [0, 1].
    overwrite_frequency
        Number of steps after which the average replaces the weights; None for
        never.
    """

    def __init__(self, weights: Array, momentum: float, overwrite_frequency: int | None) -> None:
        self.weights = weights
        self.values = weights.copy()
        self.overwrite_frequency = overwrite_frequency
        self._takes = np.array(1.0 - momentum, weights.dtype)

    def update(self, part: slice, scratch: Array, iteration: int) -> None:
        """Update a part of the average after a step, counted from 0."""
        self.follow(part, scratch, iteration)
        if self.overwrite_frequency and (iteration + 1) % self.overwrite_frequency == 0:
            self.weights[part] = self.values[part]

    def follow(self, part: slice, scratch: Array, iteration: int) -> None:
        """Update a part of the average without ever changing the weights."""
        weights, average = self.weights[part], self.values[part]
        if iteration == 0:
            average[:] = weights
        else:
            np.subtract(weights, average, scratch)
            np.multiply(scratch, self._takes, scratch)
            np.add(average, scratch, average)

    def finalize(self, parts: Sequence[slice]) -> None:
        """Replace these parts of the weights by the average."""
        for part in parts:
            self.weights[part] = self.values[part]

    def swap(self, parts: Sequence[slice]) -> None:
        """Swap these parts of the average and the weights."""
        for part in parts:
            average = self.values[part].copy()
            self.values[part] = self.weights[part]
            self.weights[part] = average
