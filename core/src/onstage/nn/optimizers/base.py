"""Optimizer: everything around the update formula."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from onstage.model import Array
from onstage.nn import serialization
from onstage.nn.optimizers import clipping
from onstage.nn.optimizers.blocks import Block, BlockedBuffers
from onstage.nn.optimizers.ema import MovingAverage
from onstage.nn.optimizers.options import Options, reject_unknown, validate_learning_rate
from onstage.nn.optimizers.state import StatefulOptimizer
from onstage.nn.schedules import LearningRateSchedule
from onstage.validation import validate_bool, validate_float, validate_int, validate_optional_float


class Optimizer(StatefulOptimizer):
    """Updates all parameters of a model, one flat buffer, from their gradients.

    To write one, override `update`, and `slots` if it keeps state; accept
    ``learning_rate`` and ``**options`` in the constructor and pass them on.

    Parameters
    ----------
    learning_rate
        Number >= 0, or a schedule, which is evaluated before each step.
    weight_decay
        Before each update, weights are reduced by this fraction times the
        learning rate. None for no decay.
    clipnorm
        Maximum norm of each variable's gradient.
    clipvalue
        Maximum magnitude of each element of the gradients.
    global_clipnorm
        Maximum norm of all gradients together. At most one of the three limits
        may be given.
    use_ema
        Whether to keep an exponential moving average of the weights, which
        replaces the weights when training ends.
    ema_momentum
        Fraction of the average kept at each step, in [0, 1].
    ema_overwrite_frequency
        Number of steps after which the average replaces the weights. None for
        only at the end.
    name
        Class name in lower case by default.

    Raises
    ------
    ValueError, TypeError
        If an argument is unknown or out of range.

    References
    ----------
    Loshchilov, Hutter: *Decoupled Weight Decay Regularization* (2019). Polyak,
    Juditsky: *Acceleration of Stochastic Approximation by Averaging* (1992).

    Examples
    --------
    >>> import numpy as np
    >>> from onstage.optimizers import Optimizer
    >>> class SignDescent(Optimizer):
    ...     def update(self, block, constants):
    ...         (rate,) = constants
    ...         block.weights[:] -= rate * np.sign(block.gradients)
    >>> optimizer = SignDescent(0.1)
    >>> weights = np.array([1.0, 2.0])
    >>> optimizer.build(weights)
    >>> optimizer.apply(np.array([3.0, -4.0]))
    >>> weights
    array([0.9, 2.1])
    """

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        name: str | None = None,
        **unknown: object,
    ) -> None:
        if unknown:
            reject_unknown(type(self), next(iter(unknown)))
        self._rate = validate_learning_rate(learning_rate)
        self.weight_decay = validate_optional_float("weight_decay", weight_decay, 0)
        self._clip = clipping.choose(clipnorm, clipvalue, global_clipnorm)
        self.clipnorm, self.clipvalue, self.global_clipnorm = clipnorm, clipvalue, global_clipnorm
        self.use_ema = validate_bool("use_ema", use_ema)
        self.ema_momentum = validate_float("ema_momentum", ema_momentum, 0, 1)
        self.ema_overwrite_frequency = ema_overwrite_frequency
        if ema_overwrite_frequency is not None:
            self.ema_overwrite_frequency = validate_int("ema_overwrite_frequency", ema_overwrite_frequency, 1)
        self.name = type(self).__name__.lower() if name is None else name
        self._iterations = 0
        self._average: MovingAverage | None = None
        self._buffers: BlockedBuffers | None = None

    def constants(self, rate: float) -> tuple[float, ...]:
        """Compute the constants of one step from its learning rate."""
        return (rate,)

    def update(self, block: Block, constants: tuple[Array, ...]) -> None:
        """Update a block's weights and slots in place.

        Parameters
        ----------
        constants
            Results of `constants` as 0-d arrays, by which numpy multiplies
            faster than by Python numbers.
        """
        raise NotImplementedError(f"{type(self).__name__} must define update(self, block, constants)")

    def build(self, parameters: Array, slices: Sequence[slice] | None = None) -> None:
        """Set the parameters to update, and reset the state.

        Parameters
        ----------
        parameters
            Flat, contiguous, of a floating type; `apply` updates them in place.
        slices
            Position of each variable in it, for `clipnorm` and `freeze`. By
            default all parameters are one variable.
        """
        self._buffers = BlockedBuffers(parameters, slices, self.slots())
        self._average = (
            MovingAverage(parameters, self.ema_momentum, self.ema_overwrite_frequency)
            if self.use_ema
            else None
        )
        self._constants = tuple(np.zeros((), parameters.dtype) for _ in self.constants(0.0))
        self._latest: tuple[float, ...] | None = None
        self._keep = np.ones((), parameters.dtype)
        self._iterations = 0

    def freeze(self, frozen: Sequence[bool]) -> None:
        """Freeze or unfreeze variables from the next step on.

        `frozen` has a value for each of the slices passed to `build`. A frozen
        variable keeps its slots, and its average is still updated. If all are
        frozen, `apply` does nothing and counts no step, as in Keras.
        """
        self._require_built().freeze(frozen)

    def trains(self, parameters: Array) -> bool:
        """Return whether `build` was last called with these parameters."""
        return self._buffers is not None and self._buffers.parameters is parameters

    def apply(self, gradients: Array) -> None:
        """Make one step.

        Parameters
        ----------
        gradients
            Flat, like the parameters; fastest if always the same array. The
            step may overwrite it.

        Raises
        ------
        ValueError
            If `build` was not called, or with parameters of another size or type.
        """
        buffers = self._require_built()
        if gradients is not buffers.gradients:
            buffers.bind(gradients)
        if not buffers.trained:
            return
        rate = self._current_rate()
        constants = self.constants(rate)
        if constants != self._latest:
            self._set_constants(constants)
        if self._clip is not None:
            self._clip(gradients, buffers.trained, buffers.spans)
        if self.weight_decay:
            self._keep[()] = 1.0 - rate * self.weight_decay
        for block in buffers.blocks:
            if self.weight_decay:
                np.multiply(block.weights, self._keep, block.weights)
            self.update(block, self._constants)
            if self._average is not None:
                self._average.update(block.part, block.scratch, self._iterations)
        self._follow_frozen(buffers)
        self._iterations += 1

    def _follow_frozen(self, buffers: BlockedBuffers) -> None:
        if self._average is not None:
            for block in buffers.frozen_blocks:
                self._average.follow(block.part, block.scratch, self._iterations)

    def _set_constants(self, values: tuple[float, ...]) -> None:
        self._latest = values
        for constant, value in zip(self._constants, values, strict=True):
            constant[()] = value

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the parameters."""
        return self._require_built().parameters.dtype

    @property
    def ema_average(self) -> Array | None:
        """Moving average of the flat parameters; None without `use_ema`."""
        return None if self._average is None else self._average.values

    def finalize(self) -> None:
        """Replace the weights by their average, if there is one; ends a training."""
        if self._average is not None and self._iterations:
            self._average.finalize(self._require_built().spans)

    def swap_ema_average(self) -> None:
        """Swap the weights and their average, in place; do nothing before the first step.

        Raises
        ------
        ValueError
            If the optimizer keeps no average.
        """
        if not self.use_ema:
            raise ValueError(f"use_ema must be True to swap the average, got {self.name} without it")
        if self._average is not None and self._iterations:
            self._average.swap(self._require_built().spans)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain values."""
        rate = self._rate if isinstance(self._rate, float) else serialization.serialize(self._rate)
        return {"learning_rate": rate} | {name: getattr(self, name) for name in Options.__annotations__}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make an optimizer from the result of `get_config`."""
        return cls(**config)
