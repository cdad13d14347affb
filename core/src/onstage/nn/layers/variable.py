"""Variable: an array of weights; and a limit on the weights a file may request."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from onstage.model import Array
from onstage.nn.regularizers import Regularizer

_weights_left: ContextVar[int | None] = ContextVar("weights_left", default=None)
"""Number of weight elements that may still be created; None for no limit."""


class Variable:
    """An array of weights, and its gradient during training.

    Attributes
    ----------
    value : Array
        Change it in place (``variable.value[...] = x``): it is a view of the
        model's parameter buffer.
    gradient : Array
        Written in place by a layer's backward, not added to. The optimizer's
        step may overwrite it.
    trainable : bool
        False for statistics, such as a moving mean.
    """

    def __init__(
        self,
        value: Array,
        name: str,
        trainable: bool = True,
        regularizer: Regularizer | None = None,
    ) -> None:
        self.value = value
        self.gradient = np.zeros(value.shape, value.dtype)
        self.name = name
        self.trainable = trainable
        self.regularizer = regularizer

    def numpy(self) -> Array:
        """Return a copy of the values."""
        return self.value.copy()

    def assign(self, value: Any) -> None:
        """Replace the values; raise ValueError if they don't have the variable's shape."""
        values = np.asarray(value)
        if values.shape != self.shape:
            raise ValueError(f"{self.name} must have shape {self.shape}, got {values.shape}")
        np.copyto(self.value, values, casting="same_kind")

    def assign_add(self, value: Any) -> None:
        """Add to the values; see `assign`."""
        self.assign(self.value + value)

    def assign_sub(self, value: Any) -> None:
        """Subtract from the values; see `assign`."""
        self.assign(self.value - value)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """Return the values, for numpy's functions."""
        if copy is None:  # numpy 1 does not know the argument
            return np.asarray(self.value, dtype)
        return np.array(self.value, dtype, copy=copy)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return self.value.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return self.value.shape

    def __repr__(self) -> str:
        return f"<Variable {self.name!r} shape={self.shape} trainable={self.trainable}>"


def flatten_variables(
    variables: Sequence[Variable], dtype: np.dtype[Any]
) -> tuple[Array, Array, list[slice]]:
    """Move variables to one buffer, in their order, and their gradients to another.

    Returns
    -------
    tuple
        Both buffers, and the position of each variable in them.
    """
    values = np.concatenate([np.zeros(0, dtype), *(each.value.ravel() for each in variables)])
    # Unlike zeros_like, takes memory only when it is written: never in a model that only predicts.
    gradients = np.zeros(values.shape, values.dtype)
    slices = []
    end = 0
    for each in variables:
        start, end = end, end + each.value.size
        slices.append(slice(start, end))
        each.gradient = gradients[start:end].reshape(each.shape)
        each.value = values[start:end].reshape(each.shape)
    return values, gradients, slices


@contextmanager
def limit_weights(elements: int) -> Iterator[None]:
    """Limit the total number of weight elements of layers built in this context."""
    before = _weights_left.set(elements)
    try:
        yield
    finally:
        _weights_left.reset(before)


def reserve_weights(shape: Sequence[int]) -> bool:
    """Subtract a shape's size from the limit; raise ValueError if it exceeds it.

    Return whether there is a limit: the weights come from a file, then.
    """
    left = _weights_left.get()
    if left is None:
        return False
    size = math.prod(shape)
    if size > left:
        raise ValueError(f"needs weights of shape {tuple(shape)}, more than the file holds")
    _weights_left.set(left - size)
    return True
