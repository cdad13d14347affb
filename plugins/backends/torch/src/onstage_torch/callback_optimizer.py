"""A torch optimizer with the attributes that callbacks written for Keras use."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from onstage.callbacks.learning_rate import Hyperparameter, LearningRate
from onstage.validation import validate_float, validate_int
from onstage_torch.learning_rate import LearningRates


class Iterations(int):
    """Number of steps that an optimizer has made, with the methods of a variable of Keras."""

    owner: CallbackOptimizer

    def assign(self, steps: int) -> None:
        """Set the optimizer's number."""
        self.owner.iterations = steps

    def numpy(self) -> np.int64:
        """Return the optimizer's current number."""
        return np.int64(self.owner.iterations)

    @property
    def value(self) -> int:
        """The optimizer's current number."""
        return int(self.owner.iterations)

    def __reduce__(self) -> tuple[type[int], tuple[int]]:
        """Copy and pickle as a plain int, without the optimizer."""
        return int, (int(self),)


class CallbackOptimizer:
    """Base that `extend` adds to the class of an optimizer.

    The optimizer stays the object that it was: references to it, schedulers,
    scalers and ``isinstance`` work as before. Copies and pickles are of its
    original class.
    """

    param_groups: list[dict[str, Any]]
    _onstage_rates: LearningRates
    _onstage_steps: int

    @property
    def learning_rate(self) -> LearningRate:
        """Rate of the first group; setting it sets all groups, in proportion."""
        return LearningRate(self._onstage_rates.first, self)

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        self._onstage_rates.first = rate

    @property
    def lr(self) -> LearningRate:
        """Another name of `learning_rate`, as in Keras 2."""
        return self.learning_rate

    @lr.setter
    def lr(self, rate: float) -> None:
        self._onstage_rates.first = rate

    @property
    def iterations(self) -> Iterations:
        """Number of steps made; saved with the model. Setting it changes only the number."""
        count = Iterations(self._onstage_steps)
        count.owner = self
        return count

    @iterations.setter
    def iterations(self, steps: int) -> None:
        self._onstage_steps = validate_int("iterations", steps, 0)

    @property
    def name(self) -> str:
        """Name of the optimizer's class in lower case."""
        return type(self).__name__.lower()

    def get_config(self) -> dict[str, Any]:
        """Return name, learning rate, and the other options of the first group."""
        apart = ("params", "lr", "initial_lr")
        options = {key: value for key, value in self.param_groups[0].items() if key not in apart}
        return {"name": self.name, "learning_rate": float(self.learning_rate), **options}

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Copy and pickle as an object of the original class."""
        parts: Any = super().__reduce_ex__(protocol)
        function, arguments, *rest = parts
        own = type(self)
        arguments = tuple(own.__bases__[0] if each is own else each for each in arguments)
        # pickle's own way of making an object insists on the class that it has.
        return object.__new__ if function.__name__ == "__newobj__" else function, arguments, *rest


_GROUP_OPTIONS = {"momentum": ("momentum", None), "beta_1": ("betas", 0), "beta_2": ("betas", 1)}
"""Keras's name of an option to its key in a group, and its place there."""


def _group_option(name: str, key: str, place: int | None) -> property:
    def read(optimizer: CallbackOptimizer) -> Hyperparameter:
        value = optimizer.param_groups[0][key]
        return Hyperparameter(float(value if place is None else value[place]), optimizer, name)

    def write(optimizer: CallbackOptimizer, value: float) -> None:
        number = validate_float(name, float(value), 0, 1)
        for group in optimizer.param_groups:
            if place is None:
                group[key] = _replace(group[key], number)
                continue
            values = list(group[key])
            values[place] = _replace(values[place], number)
            group[key] = tuple(values)

    return property(read, write, doc=f"Option {key!r} of the first group; setting it sets all groups.")


def _replace(old: Any, number: float) -> Any:
    # A tensor is read by a captured graph, so the object must stay.
    return old.fill_(number) if isinstance(old, Tensor) else number


def extend(optimizer: torch.optim.Optimizer, rates: LearningRates) -> None:
    """Add learning_rate, lr, iterations, name, get_config, momentum and betas to an optimizer.

    A name that the optimizer has already keeps its meaning, and an option that
    its groups lack is not added. Doing it again replaces the rates only.

    Parameters
    ----------
    rates
        Its rates, which know whether callbacks may set them.

    Examples
    --------
    >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1, momentum=0.9)
    >>> extend(optimizer, LearningRates([optimizer]))
    >>> optimizer.lr.assign(0.05)
    >>> optimizer.learning_rate, optimizer.momentum, optimizer.iterations
    (0.05, 0.9, 0)
    """
    extended: Any = optimizer
    if not isinstance(optimizer, CallbackOptimizer):
        group = optimizer.param_groups[0]
        options = tuple(name for name, (key, _) in _GROUP_OPTIONS.items() if key in group)
        added = tuple(name for name in options if not hasattr(optimizer, name))
        # An attribute of the object would be hidden by a property of its class.
        kept = tuple(name for name in vars(CallbackOptimizer) if name in vars(optimizer))
        original: Any = type(optimizer)
        extended.__class__ = _extended_class(original, added, kept)
        extended._onstage_steps = 0
        optimizer.register_step_post_hook(_count)
    extended._onstage_rates = rates


def steps_of(optimizer: torch.optim.Optimizer | None) -> int:
    """Return the number of steps that an extended optimizer has made; 0 without one."""
    return getattr(optimizer, "_onstage_steps", 0)


def set_steps(optimizer: torch.optim.Optimizer, steps: object) -> None:
    """Set the number of steps made, as restored from a file."""
    extended: Any = optimizer
    extended._onstage_steps = validate_int("iterations", steps, 0)


def _count(optimizer: Any, *_: object) -> None:
    optimizer._onstage_steps += 1


@cache
def _extended_class(original: type, added: tuple[str, ...], kept: tuple[str, ...]) -> type:
    shown = {key: getattr(original, key) for key in ("__doc__", "__module__", "__qualname__")}
    options = {name: _group_option(name, *_GROUP_OPTIONS[name]) for name in added}
    # The original comes first, so that its own attributes win.
    return type(original.__name__, (original, CallbackOptimizer), shown | options | dict.fromkeys(kept))
