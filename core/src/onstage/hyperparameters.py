"""The numbers of an optimizer, as callbacks read and set them."""

from __future__ import annotations

from typing import Any, Protocol, Self

import numpy as np


class HasLearningRate(Protocol):
    """An optimizer or a model with a learning rate."""

    @property
    def learning_rate(self) -> float:
        """Learning rate of the next step."""
        ...

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None: ...


class Hyperparameter(float):
    """A number of an optimizer that callbacks can set in place, like a variable in Keras.

    It is the float that it was when it was read. `assign` sets the owner's
    attribute; `numpy` and `value` read its current value. Arithmetic, copying
    and pickling return plain floats.

    Parameters
    ----------
    value
        Current value.
    owner
        The optimizer.
    name
        Name of the optimizer's attribute, such as ``"momentum"``.
    """

    owner: Any
    name: str

    def __new__(cls, value: float, owner: Any, name: str) -> Self:
        """Return a number with its owner and name."""
        number = super().__new__(cls, value)
        number.owner, number.name = owner, name
        return number

    def assign(self, value: float) -> None:
        """Set the owner's attribute; raise as the owner does if it cannot be set."""
        setattr(self.owner, self.name, value)

    def numpy(self) -> np.float64:
        """Return the current value."""
        return np.float64(getattr(self.owner, self.name))

    @property
    def value(self) -> float:
        """The current value."""
        return float(getattr(self.owner, self.name))

    def __reduce__(self) -> tuple[type[float], tuple[float]]:
        """Copy and pickle as a plain float, without the owner."""
        return float, (float(self),)


class LearningRate(Hyperparameter):
    """The learning rate of an optimizer; see `Hyperparameter`.

    Parameters
    ----------
    value
        Number >= 0.
    owner
        The optimizer whose ``learning_rate`` it is.

    Examples
    --------
    >>> from onstage.optimizers import SGD
    >>> optimizer = SGD(0.1)
    >>> rate = optimizer.learning_rate
    >>> rate.assign(rate / 2)
    >>> rate, rate.value, optimizer.learning_rate
    (0.1, 0.05, 0.05)
    """

    def __new__(cls, value: float, owner: HasLearningRate, name: str = "learning_rate") -> Self:
        """Return a rate with its owner."""
        return super().__new__(cls, value, owner, name)
