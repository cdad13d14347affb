"""RMSprop."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Unpack

import numpy as np

from onstage.model import Array
from onstage.nn.optimizers.base import Optimizer
from onstage.nn.optimizers.blocks import Block
from onstage.nn.optimizers.hyperparameters import Number, read_hyperparameters
from onstage.nn.optimizers.options import Options
from onstage.nn.schedules import LearningRateSchedule
from onstage.validation import validate_bool


class RMSprop(Optimizer):
    """Gradients divided by the root of their moving mean square.

    ``v = rho * v + (1 - rho) * g²``, then ``w -= rate * g / sqrt(v + epsilon)``.
    If `centered`, the squared mean of the gradients is subtracted from `v`,
    which leaves their variance. With momentum, `momentum` times the last change
    is added to the change.

    Parameters
    ----------
    learning_rate
        Number >= 0, or a schedule.
    rho
        Fraction of the mean kept at each step, in [0, 1).
    momentum
        Fraction of the last change that is applied again, in [0, 1].
    epsilon
        Added under the root, >= 0.
    centered
        Whether to divide by the standard deviation rather than the root mean square.
    **options
        Arguments of `Optimizer`: weight decay, clipping, moving average, name.

    References
    ----------
    Tieleman, Hinton: *Neural Networks for Machine Learning*, lecture 6.5 (2012).
    Graves: *Generating Sequences With Recurrent Neural Networks* (2013), for
    the centered form.
    """

    rho = Number(0, 1, exclude={1})
    momentum = Number(0, 1)
    epsilon = Number()
    _rho: float
    _momentum: float
    _epsilon: float

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.centered = validate_bool("centered", centered)
        self.rho, self.momentum, self.epsilon = rho, momentum, epsilon

    # The means are stored as discounted sums, 1/(1 - rho) times as large, which
    # saves a pass over the gradients. Step and epsilon contain the factor.

    def slots(self) -> Mapping[str, float]:
        """Return the state kept for each parameter: names and initial values."""
        names = ["square_sum"] + ["gradient_sum"] * self.centered + ["velocity"] * (self._momentum > 0)
        return dict.fromkeys(names, 0.0)

    def hyperparameter_changed(self, name: str, before: float, now: float) -> None:
        """Scale the sums to keep the means under a new `rho`."""
        super().hyperparameter_changed(name, before, now)
        if name == "rho" and self._buffers is not None:
            for each in ("square_sum", *["gradient_sum"] * self.centered):
                self._buffers.slots[each] *= (1.0 - before) / (1.0 - now)

    def constants(self, rate: float) -> tuple[float, ...]:
        """Compute the constants of one step, including the scale of the sums."""
        scale = 1.0 - self._rho
        return self._rho, self._momentum, self._epsilon / scale, rate / math.sqrt(scale), -scale

    def update(self, block: Block, constants: tuple[Array, ...]) -> None:
        """Update a block's weights and slots in place."""
        rho, momentum, epsilon, step, minus_scale = constants
        weights, gradients, change = block.weights, block.gradients, block.scratch
        square_sum, *others = block.slots
        np.multiply(square_sum, rho, square_sum)
        np.multiply(gradients, gradients, change)
        np.add(square_sum, change, square_sum)
        spread = square_sum
        if self.centered:
            gradient_sum, *others = others
            np.multiply(gradient_sum, rho, gradient_sum)
            np.add(gradient_sum, gradients, gradient_sum)
            np.multiply(gradient_sum, gradient_sum, change)
            np.multiply(change, minus_scale, change)
            np.add(square_sum, change, change)
            # Negative only by rounding, which could exceed epsilon.
            spread = np.maximum(change, 0.0, out=change)
        np.add(spread, epsilon, change)
        np.sqrt(change, change)
        np.divide(gradients, change, change)
        np.multiply(change, step, change)
        if self._momentum:
            (velocity,) = others
            np.multiply(velocity, momentum, velocity)
            change = np.add(velocity, change, velocity)
        np.subtract(weights, change, weights)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain values."""
        return super().get_config() | read_hyperparameters(self) | {"centered": self.centered}
