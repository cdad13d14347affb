"""Adagrad."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

import numpy as np

from onstage.model import Array
from onstage.nn.optimizers.base import Optimizer
from onstage.nn.optimizers.blocks import Block
from onstage.nn.optimizers.hyperparameters import Number, read_hyperparameters
from onstage.nn.optimizers.options import Options
from onstage.nn.schedules import LearningRateSchedule
from onstage.validation import validate_float


class Adagrad(Optimizer):
    """Gradients divided by the root of the sum of their squares so far.

    ``a += g²``, then ``w -= rate * g / sqrt(a + epsilon)``.

    Parameters
    ----------
    learning_rate
        Number >= 0, or a schedule.
    initial_accumulator_value
        Initial sum, >= 0.
    epsilon
        Added under the root, >= 0.
    **options
        Arguments of `Optimizer`: weight decay, clipping, moving average, name.

    References
    ----------
    Duchi, Hazan, Singer: *Adaptive Subgradient Methods for Online Learning and
    Stochastic Optimization* (2011).
    """

    epsilon = Number()
    _epsilon: float

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.initial_accumulator_value = validate_float(
            "initial_accumulator_value", initial_accumulator_value, 0
        )
        self.epsilon = epsilon

    def slots(self) -> Mapping[str, float]:
        """Return the state kept for each parameter: names and initial values."""
        return {"square_sum": self.initial_accumulator_value}

    def constants(self, rate: float) -> tuple[float, ...]:
        """Compute the constants of one step."""
        return self._epsilon, rate

    def update(self, block: Block, constants: tuple[Array, ...]) -> None:
        """Update a block's weights and sum in place."""
        epsilon, step = constants
        weights, gradients, change = block.weights, block.gradients, block.scratch
        (square_sum,) = block.slots
        np.multiply(gradients, gradients, change)
        np.add(square_sum, change, square_sum)
        np.add(square_sum, epsilon, change)
        np.sqrt(change, change)
        np.divide(gradients, change, change)
        np.multiply(change, step, change)
        np.subtract(weights, change, weights)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain values."""
        own = {"initial_accumulator_value": self.initial_accumulator_value}
        return super().get_config() | read_hyperparameters(self) | own
