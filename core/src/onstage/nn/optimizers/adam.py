"""Adam and AdamW."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Unpack

import numpy as np

from onstage.model import Array
from onstage.nn.optimizers.base import Optimizer
from onstage.nn.optimizers.blocks import Block
from onstage.nn.optimizers.hyperparameters import Number, read_hyperparameters
from onstage.nn.optimizers.options import Options, OtherOptions
from onstage.nn.schedules import LearningRateSchedule
from onstage.validation import validate_bool, validate_float


class Adam(Optimizer):
    """Moving mean of the gradient, divided by the root of its mean square.

    ``m = beta_1 * m + (1 - beta_1) * g``, ``v = beta_2 * v + (1 - beta_2) * g²``,
    and at step t, counted from 1, ``w -= rate * sqrt(1 - beta_2^t) /
    (1 - beta_1^t) * m / (sqrt(v) + epsilon)``.

    Parameters
    ----------
    learning_rate
        Number >= 0, or a schedule.
    beta_1, beta_2
        Fractions of the means kept at each step, in [0, 1). May be set between steps.
    epsilon
        Added to the root, >= 0; the paper's "epsilon hat".
    amsgrad
        Whether to divide by the largest `v` so far.
    **options
        Arguments of `Optimizer`: weight decay, clipping, moving average, name.

    References
    ----------
    Kingma, Ba: *Adam: A Method for Stochastic Optimization* (2015), the form
    before section 2.1. Reddi, Kale, Kumar: *On the Convergence of Adam and
    Beyond* (2018), for `amsgrad`.

    Examples
    --------
    >>> from onstage.optimizers import Adam
    >>> from onstage.schedules import CosineDecay
    >>> Adam(CosineDecay(0.01, decay_steps=1000), clipnorm=1.0).learning_rate
    0.01
    """

    beta_1 = Number(0, 1, exclude={1})
    beta_2 = Number(0, 1, exclude={1})
    epsilon = Number()
    _beta_1: float
    _beta_2: float
    _epsilon: float

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.amsgrad = validate_bool("amsgrad", amsgrad)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    # The means are stored as discounted sums, 1/(1 - beta) times as large, which
    # saves two passes over the gradients. Step and epsilon contain the factors.

    def slots(self) -> Mapping[str, float]:
        """Return the state kept for each parameter: names and initial values."""
        names = ["gradient_sum", "square_sum"] + ["greatest_square_sum"] * self.amsgrad
        return dict.fromkeys(names, 0.0)

    def hyperparameter_changed(self, name: str, before: float, now: float) -> None:
        """Scale the sums to keep the means under a new `beta_1` or `beta_2`."""
        super().hyperparameter_changed(name, before, now)
        sums = {"beta_1": ["gradient_sum"], "beta_2": ["square_sum", *["greatest_square_sum"] * self.amsgrad]}
        if self._buffers is not None:
            for each in sums.get(name, ()):
                self._buffers.slots[each] *= (1.0 - before) / (1.0 - now)

    def constants(self, rate: float) -> tuple[float, ...]:
        """Compute the constants of one step, including the bias correction."""
        # Powers in the precision of the weights, as Keras computes them: in
        # float32 the first corrections differ by 1e-5 from those in float64.
        t, precise = self._iterations + 1, self.dtype.type
        step = rate * math.sqrt(1.0 - precise(self._beta_2) ** t) / float(1.0 - precise(self._beta_1) ** t)
        root = math.sqrt(1.0 - self._beta_2)
        return self._beta_1, self._beta_2, self._epsilon / root, step * (1.0 - self._beta_1) / root

    def update(self, block: Block, constants: tuple[Array, ...]) -> None:
        """Update a block's weights and slots in place."""
        beta_1, beta_2, epsilon, step = constants
        weights, gradients, change = block.weights, block.gradients, block.scratch
        gradient_sum, square_sum = block.slots[:2]
        np.multiply(gradient_sum, beta_1, gradient_sum)
        np.add(gradient_sum, gradients, gradient_sum)
        np.multiply(square_sum, beta_2, square_sum)
        np.multiply(gradients, gradients, change)
        np.add(square_sum, change, square_sum)
        if self.amsgrad:
            square_sum = np.maximum(block.slots[2], square_sum, out=block.slots[2])
        np.sqrt(square_sum, change)
        np.add(change, epsilon, change)
        np.divide(gradient_sum, change, change)
        np.multiply(change, step, change)
        np.subtract(weights, change, weights)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain values."""
        return super().get_config() | read_hyperparameters(self) | {"amsgrad": self.amsgrad}


class AdamW(Adam):
    """`Adam` with weight decay by default.

    Parameters
    ----------
    weight_decay
        Before each update, weights are reduced by this fraction times the
        learning rate.

    References
    ----------
    Loshchilov, Hutter: *Decoupled Weight Decay Regularization* (2019).
    """

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **options: Unpack[OtherOptions],
    ) -> None:
        decay = validate_float("weight_decay", weight_decay, 0)
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay=decay, **options)
