"""The numbers of an optimizer that callbacks read, and set between steps."""

from __future__ import annotations

import math
from collections.abc import Collection
from inspect import getmembers_static
from typing import Any, Protocol, Self, overload

import numpy as np

from onstage.errors import StateError
from onstage.hyperparameters import Hyperparameter
from onstage.validation import validate_float, validate_int


class HasHyperparameters(Protocol):
    """An optimizer with `Number` attributes."""

    def hyperparameter_changed(self, name: str, before: float, now: float) -> None:
        """Adapt the state to a new value."""
        ...


class Number:
    """An attribute that is read as a `Hyperparameter` and checked when it is set.

    The plain float is in the attribute of the same name with a leading
    underscore, for the step.

    Parameters
    ----------
    low, high, exclude
        Range of valid values, as in `validate_float`.
    """

    def __init__(self, low: float = 0.0, high: float = math.inf, *, exclude: Collection[float] = ()) -> None:
        self._range = low, high, exclude

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, optimizer: None, owner: type) -> Self: ...

    @overload
    def __get__(self, optimizer: HasHyperparameters, owner: type) -> Hyperparameter: ...

    def __get__(self, optimizer: HasHyperparameters | None, owner: type) -> Self | Hyperparameter:
        if optimizer is None:
            return self
        return Hyperparameter(getattr(optimizer, f"_{self.name}"), optimizer, self.name)

    def __set__(self, optimizer: HasHyperparameters, value: float) -> None:
        low, high, exclude = self._range
        now = validate_float(self.name, value, low, high, exclude=exclude)
        before = getattr(optimizer, f"_{self.name}", now)
        setattr(optimizer, f"_{self.name}", now)
        if now != before:
            optimizer.hyperparameter_changed(self.name, before, now)


class StepCount(int):
    """A number of steps that callbacks can set in place, like a variable in Keras.

    Parameters
    ----------
    value
        Integer >= 0.
    owner
        The optimizer whose ``iterations`` it is.
    """

    owner: Any

    def __new__(cls, value: int, owner: Any) -> Self:
        """Return a count with its owner."""
        count = super().__new__(cls, value)
        count.owner = owner
        return count

    def assign(self, value: int) -> None:
        """Set the owner's number of steps."""
        self.owner.iterations = value

    def numpy(self) -> np.int64:
        """Return the owner's current number of steps."""
        return np.int64(self.owner.iterations)

    @property
    def value(self) -> int:
        """The owner's current number of steps."""
        return int(self.owner.iterations)

    def __reduce__(self) -> tuple[type[int], tuple[int]]:
        """Copy and pickle as a plain int, without the owner."""
        return int, (int(self),)


def read_hyperparameters(optimizer: object) -> dict[str, float]:
    """Return the values of an optimizer's `Number` attributes by name."""
    names = [name for name, each in getmembers_static(type(optimizer)) if isinstance(each, Number)]
    return {name: float(getattr(optimizer, name)) for name in names}


def set_hyperparameters(optimizer: object, saved: object) -> None:
    """Set the values of `read_hyperparameters`; on error nothing changes.

    Raises
    ------
    StateError
        If they are not those of such an optimizer.
    """
    before = read_hyperparameters(optimizer)
    if not isinstance(saved, dict) or not set(saved) <= set(before):
        raise StateError(f"the saved hyperparameters must be among {sorted(before)}, got {saved!r:.80}")
    try:
        for name, value in saved.items():
            setattr(optimizer, name, value)
    except (TypeError, ValueError) as error:
        for name, value in before.items():
            setattr(optimizer, name, value)
        raise StateError(f"the saved hyperparameters: {error}") from error


def validate_iterations(value: object) -> int:
    """Return a number of steps; raise TypeError or ValueError unless in [0, 2**63)."""
    iterations = validate_int("iterations", value, 0)
    if iterations >= 2**63:
        raise ValueError(f"iterations must be less than 2**63, got {iterations}")
    return iterations
