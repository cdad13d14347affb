"""Optimizer: what all of them do around the formula of one update."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from onstage.model import Array, State
from onstage.nn import serialization
from onstage.nn.optimizers import clipping, state
from onstage.nn.optimizers.blocks import Block, check_flat, join, split_blocks
from onstage.nn.optimizers.ema import MovingAverage
from onstage.nn.optimizers.options import Options, refuse_unknown, replace_rate
from onstage.nn.optimizers.options import learning_rate as checked_rate
from onstage.nn.schedules import LearningRateSchedule
from onstage.state._tree import copy_state
from onstage.validation import validate_bool, validate_float, validate_int, validate_optional_float


class Optimizer:
    """Changes all parameters of a model, one flat buffer, by their gradients.

    For one of your own override `update`, and `slots` if it keeps state; take
    ``learning_rate`` and ``**options`` in the constructor and hand them on.

    Parameters
    ----------
    learning_rate
        A number >= 0, or a schedule, which is asked before each step.
    weight_decay
        Before each update the weights lose this fraction of themselves, times
        the learning rate. None for none.
    clipnorm
        The greatest length of each variable's gradient; longer ones are shortened.
    clipvalue
        The greatest magnitude of each element of the gradients.
    global_clipnorm
        The greatest length of all gradients taken together. At most one of
        the three limits may be given.
    use_ema
        Whether to keep an exponential moving average of the weights, which
        becomes the weights when training ends.
    ema_momentum
        The part of the average that stays at each step, in [0, 1].
    ema_overwrite_frequency
        Every so many steps the weights become their average. None for only
        at the end.
    name
        The class's name in lower case, if not given.

    Attributes
    ----------
    iterations : int
        Steps made.

    Raises
    ------
    ValueError, TypeError
        An argument is out of its range, or is none of the optimizer's.

    References
    ----------
    Loshchilov, Hutter: *Decoupled Weight Decay Regularization* (2019). Polyak,
    Juditsky: *Acceleration of Stochastic Approximation by Averaging* (1992).
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
            refuse_unknown(type(self), next(iter(unknown)))
        self._rate = checked_rate(learning_rate)
        self.weight_decay = validate_optional_float("weight_decay", weight_decay, 0)
        self._clip = clipping.choose(clipnorm, clipvalue, global_clipnorm)
        self.clipnorm, self.clipvalue, self.global_clipnorm = clipnorm, clipvalue, global_clipnorm
        self.use_ema = validate_bool("use_ema", use_ema)
        self.ema_momentum = validate_float("ema_momentum", ema_momentum, 0, 1)
        self.ema_overwrite_frequency = ema_overwrite_frequency
        if ema_overwrite_frequency is not None:
            self.ema_overwrite_frequency = validate_int("ema_overwrite_frequency", ema_overwrite_frequency, 1)
        self.name = type(self).__name__.lower() if name is None else name
        self.iterations = 0
        self._average: MovingAverage | None = None
        self._parameters: Array | None = None
        self._gradients: Array | None = None
        self._blocks: list[Block] = []
        self._frozen_blocks: list[Block] = []

    def slots(self) -> Mapping[str, float]:
        """Name the values kept for each parameter, with what they start from."""
        return {}

    def constants(self, rate: float) -> tuple[float, ...]:
        """Compute the numbers of one step, from its learning rate."""
        return (rate,)

    def update(self, block: Block, constants: tuple[Array, ...]) -> None:
        """Change a block's weights and slots in place.

        Parameters
        ----------
        constants
            What `constants` gave, each as an array without axes: numpy
            multiplies by one faster than by a Python number.
        """
        raise NotImplementedError(f"{type(self).__name__} must define update(self, block, constants)")

    def build(self, parameters: Array, slices: Sequence[slice] | None = None) -> None:
        """Take the parameters to change from now on, and start without state.

        Parameters
        ----------
        parameters
            Flat, contiguous, of a floating type; `apply` changes them in place.
        slices
            Where each variable lies in it, for `clipnorm`. One, if not given.
        """
        check_flat(parameters)
        self._parameters = parameters
        self._slices = [slice(0, parameters.size)] if slices is None else list(slices)
        self.freeze([False] * len(self._slices))
        self._slots = {name: np.full_like(parameters, value) for name, value in self.slots().items()}
        self._average = (
            MovingAverage(parameters, self.ema_momentum, self.ema_overwrite_frequency)
            if self.use_ema
            else None
        )
        self._constants = tuple(np.zeros((), parameters.dtype) for _ in self.constants(0.0))
        self._latest: tuple[float, ...] | None = None
        self._keep = np.ones((), parameters.dtype)
        self.iterations = 0

    def freeze(self, frozen: Sequence[bool]) -> None:
        """Leave variables as they are from the next step on, or release them.

        `frozen` says it for each of the slices given to `build`. A frozen
        variable keeps its slots, and its average goes on. Where all are frozen
        `apply` does nothing and counts no step, as in Keras.
        """
        pairs = list(zip(self._slices, frozen, strict=True))
        self._trained = [each for each, is_frozen in pairs if not is_frozen]
        self._spans = join(self._trained)
        self._frozen_spans = join([each for each, is_frozen in pairs if is_frozen])
        self._gradients = None

    def trains(self, parameters: Array) -> bool:
        """Whether `build` was last called with these parameters."""
        return self._parameters is parameters

    def apply(self, gradients: Array) -> None:
        """Make one step.

        Parameters
        ----------
        gradients
            As flat as the parameters, and cheapest when always the same array.
            The step may write over it.

        Raises
        ------
        ValueError
            `build` was not called, or was with parameters of another size or type.
        """
        if gradients is not self._gradients:
            buffers = self._built(), gradients, list(self._slots.values())
            self._blocks = split_blocks(*buffers, self._spans)
            self._frozen_blocks = split_blocks(*buffers, self._frozen_spans)
            self._gradients = gradients
        if not self._trained:
            return
        rate = self.learning_rate
        constants = self.constants(rate)
        if constants != self._latest:
            self._latest = constants
            for constant, value in zip(self._constants, constants, strict=True):
                constant[()] = value
        if self._clip is not None:
            self._clip(gradients, self._trained, self._spans)
        if self.weight_decay:
            self._keep[()] = 1.0 - rate * self.weight_decay
        for block in self._blocks:
            if self.weight_decay:
                np.multiply(block.weights, self._keep, block.weights)
            self.update(block, self._constants)
            if self._average is not None:
                self._average.update(block.part, block.scratch, self.iterations)
        if self._average is not None:
            for block in self._frozen_blocks:
                self._average.follow(block.part, block.scratch, self.iterations)
        self.iterations += 1

    @property
    def learning_rate(self) -> float:
        """The rate of the next step.

        A number or a schedule may be set, but under a schedule a number raises
        TypeError.
        """
        return self._rate if isinstance(self._rate, float) else float(self._rate(self.iterations))

    @learning_rate.setter
    def learning_rate(self, value: float | LearningRateSchedule) -> None:
        self._rate = replace_rate(self._rate, value)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the parameters."""
        return self._built().dtype

    @property
    def ema_average(self) -> Array | None:
        """The moving average of the flat parameters; None without `use_ema`."""
        return None if self._average is None else self._average.values

    def finalize(self) -> None:
        """End a training: the weights become their average, if there is one."""
        if self._average is not None and self.iterations:
            self._average.finalize(self._spans)

    def swap_ema_average(self) -> None:
        """Exchange the weights with their average, in place.

        Before the first step there is no average, and nothing happens.

        Raises
        ------
        ValueError
            The optimizer keeps no average.
        """
        if not self.use_ema:
            raise ValueError(f"use_ema must be True for an average of the weights, got {self.name} without")
        if self._average is not None and self.iterations:
            self._average.swap(self._spans)

    def state_dict(self) -> State:
        """Copy what the steps have changed, and the learning rate.

        ``{"iterations": int, "learning_rate": float or None, "slots": {name:
        array}}``; the rate is None under a schedule, and the arrays are flat as
        the parameters, `ema_average` among them.
        """
        return copy_state(self.state_view())

    def state_view(self) -> State:
        """Give what `state_dict` copies."""
        return {
            "iterations": self.iterations,
            "learning_rate": self._rate if isinstance(self._rate, float) else None,
            "slots": dict(self._state_arrays()),
        }

    def load_state_dict(self, saved: State) -> None:
        """Restore what `state_dict` gave, to the bit; all of it or nothing.

        Raises
        ------
        StateError
            A part is missing, damaged, or of another optimizer or model.
        """
        arrays = self._state_arrays()
        iterations, rate = state.check(self.name, saved, arrays, scheduled=not isinstance(self._rate, float))
        for name, values in arrays.items():
            values[:] = saved["slots"][name]
        self.iterations = iterations
        if rate is not None:
            self._rate = rate

    def __getstate__(self) -> dict[str, Any]:
        # A copy's blocks would be arrays of their own, no longer views of its
        # parameters: they are cut anew at its first step.
        return self.__dict__ | {"_gradients": None, "_blocks": [], "_frozen_blocks": []}

    def _state_arrays(self) -> dict[str, Array]:
        self._built()
        average = self.ema_average
        return self._slots if average is None else self._slots | {"ema_average": average}

    def _built(self) -> Array:
        if self._parameters is None:
            raise ValueError(
                f"optimizer {self.name} must be given the parameters first; call build(parameters)"
            )
        return self._parameters

    def get_config(self) -> dict[str, Any]:
        """Give the constructor's arguments, as plain values."""
        rate = self._rate if isinstance(self._rate, float) else serialization.serialize(self._rate)
        return {"learning_rate": rate} | {name: getattr(self, name) for name in Options.__annotations__}
