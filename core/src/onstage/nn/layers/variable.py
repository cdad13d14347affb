"""Variable: an array of weights, and the bound on how many a file may ask for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np

from onstage.model import Array
from onstage.nn.regularizers import Regularizer

_room: ContextVar[int | None] = ContextVar("room", default=None)
"""How many elements of weights may still be made; None: any number."""


class Variable:
    """An array of weights, and the gradient that training puts beside it.

    Attributes
    ----------
    value : Array
        Change it in place (``variable.value[...] = x``): it is a part of the
        model's one buffer of parameters.
    gradient : Array
        A layer's backward writes it, in place, and does not add. The optimizer's
        step may write over it.
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
        self.gradient = np.zeros_like(value)
        self.name = name
        self.trainable = trainable
        self.regularizer = regularizer

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return self.value.shape

    def __repr__(self) -> str:
        return f"<Variable {self.name!r} shape={self.shape} trainable={self.trainable}>"


@contextmanager
def limit_weights(elements: int) -> Iterator[None]:
    """Let the layers that are built inside have no more weights than so many."""
    before = _room.set(elements)
    try:
        yield
    finally:
        _room.reset(before)


def reserve_weights(shape: Sequence[int]) -> None:
    """Count the weights of a shape; raises ValueError when they are too many."""
    room = _room.get()
    if room is None:
        return
    size = math.prod(shape)
    if size > room:
        raise ValueError(f"needs weights of shape {tuple(shape)}, more than the file holds")
    _room.set(room - size)
