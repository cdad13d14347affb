"""The moving average of a model's weights."""

from __future__ import annotations

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
        weights, average = self.weights[part], self.values[part]
        if iteration == 0:
            average[:] = weights
        else:
            np.subtract(weights, average, scratch)
            np.multiply(scratch, self._takes, scratch)
            np.add(average, scratch, average)
        if self.overwrite_frequency and (iteration + 1) % self.overwrite_frequency == 0:
            weights[:] = average

    def finalize(self) -> None:
        """Make the average the weights."""
        self.weights[:] = self.values

    def swap(self) -> None:
        """Exchange the average and the weights."""
        average = self.values.copy()
        self.values[:] = self.weights
        self.weights[:] = average
