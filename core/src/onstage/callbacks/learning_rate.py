"""The learning rate of an optimizer, as callbacks read and set it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from onstage.callbacks._base import Callback


class HasLearningRate(Protocol):
    """An optimizer or a model with a learning rate."""

    @property
    def learning_rate(self) -> float:
        """Learning rate of the next step."""
        ...

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None: ...


class LearningRate(float):
    """A learning rate that callbacks can set in place, like a variable in Keras.

    It is the float that it was when it was read. `assign` sets the rate of its
    owner; `numpy` and `value` read the owner's current rate. Arithmetic,
    copying and pickling return plain floats.

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
    >>> rate, rate.numpy(), optimizer.learning_rate
    (0.1, 0.05, 0.05)
    """

    owner: HasLearningRate

    def __new__(cls, value: float, owner: HasLearningRate) -> LearningRate:
        """Return a rate with its owner."""
        rate = super().__new__(cls, value)
        rate.owner = owner
        return rate

    def assign(self, value: float) -> None:
        """Set the rate of the owner; raise as the owner does if it cannot be set."""
        self.owner.learning_rate = value

    def numpy(self) -> np.float64:
        """Return the owner's current rate."""
        return np.float64(self.owner.learning_rate)

    @property
    def value(self) -> float:
        """The owner's current rate."""
        return float(self.owner.learning_rate)

    def __reduce__(self) -> tuple[type[float], tuple[float]]:
        """Copy and pickle as a plain float, without the owner."""
        return float, (float(self),)


def check_settable(callback: Callback) -> None:
    """Raise TypeError if the learning rate of the model cannot be set.

    Call it in on_train_begin, so that an optimizer with a schedule is refused
    before training and not when the callback first sets the rate.

    Raises
    ------
    TypeError
        If the model has no ``learning_rate``, or its optimizer follows a schedule.
    """
    who, model = type(callback).__name__, callback.model
    if not hasattr(model, "learning_rate"):
        raise TypeError(f"{who} must have a model with a learning_rate, got {type(model).__name__}")
    try:
        model.learning_rate = model.learning_rate
    except TypeError as error:
        raise TypeError(
            f"{who} sets the learning rate, which this optimizer takes from a schedule; "
            "give the optimizer a number, or leave the callback out"
        ) from error
