"""The moving average of a model's weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onstage.model import Array


class MovingAverage:
    """An exponential moving average of the flat parameters.

    ``average = momentum * average + (1 - momentum) * weights`` after each
    step; after the first the average is the weights.

    Parameters
    ----------
    weights
        The flat parameters themselves; `finalize` and `swap` change them.
    momentum
        The part of the average that stays at each step, in [0, 1].
    overwrite_frequency
        Every so many steps the weights become the average; None for never.
    """

    def __init__(self, weights: Array, momentum: float, overwrite_frequency: int | None) -> None:
        self.weights = weights
        self.values = weights.copy()
        self.overwrite_frequency = overwrite_frequency
        self._takes = np.array(1.0 - momentum, weights.dtype)

    def update(self, part: slice, scratch: Array, iteration: int) -> None:
        """Take in a part of the weights, after a step; the first is 0."""
        self.follow(part, scratch, iteration)
        if self.overwrite_frequency and (iteration + 1) % self.overwrite_frequency == 0:
            self.weights[part] = self.values[part]

    def follow(self, part: slice, scratch: Array, iteration: int) -> None:
        """As `update`, and never change the weights: for frozen ones."""
        weights, average = self.weights[part], self.values[part]
        if iteration == 0:
            average[:] = weights
        else:
            np.subtract(weights, average, scratch)
            np.multiply(scratch, self._takes, scratch)
            np.add(average, scratch, average)

    def finalize(self, parts: Sequence[slice]) -> None:
        """Make the average the weights, in these parts."""
        for part in parts:
            self.weights[part] = self.values[part]

    def swap(self, parts: Sequence[slice]) -> None:
        """Exchange the average and the weights, in these parts."""
        for part in parts:
            average = self.values[part].copy()
            self.values[part] = self.weights[part]
            self.weights[part] = average
