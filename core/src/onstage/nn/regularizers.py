"""Regularizers: penalties on weights, added to the loss."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from onstage.model import Array
from onstage.nn import serialization
from onstage.validation import validate_float

__all__ = ["L1", "L1L2", "L2", "Regularizer", "get"]

_BLOCK = 16384  # values; a block of weights and its scratch fit in the L1 cache


class Regularizer:
    """A penalty on an array of weights, and its gradient.

    To write one, subclass it and define `loss` and `add_gradient`.
    """

    def loss(self, w: Array) -> float:
        """Return the penalty of the weights."""
        raise NotImplementedError(f"{type(self).__name__} must define loss(self, w)")

    def add_gradient(self, w: Array, grad: Array) -> None:
        """Add the penalty's gradient to `grad`, in place.

        Parameters
        ----------
        w, grad
            Same shape, C-contiguous.
        """
        raise NotImplementedError(f"{type(self).__name__} must define add_gradient(self, w, grad)")

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {}


class L1L2(Regularizer):
    """``l1 * sum(|w|) + l2 * sum(w²)``.

    Parameters
    ----------
    l1, l2
        Factors, >= 0. The L1 gradient of a weight of 0 is 0.

    Examples
    --------
    >>> from onstage import regularizers
    >>> from onstage.layers import Dense
    >>> layer = Dense(10, kernel_regularizer=regularizers.L1L2(l1=1e-5, l2=1e-4))
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1 = validate_float("l1", l1, 0)
        self.l2 = validate_float("l2", l2, 0)

    def loss(self, w: Array) -> float:
        """Return the penalty of the weights."""
        flat = w.reshape(-1)
        penalty = 0.0
        if self.l1:
            penalty += self.l1 * float(np.linalg.norm(flat, 1))
        if self.l2:
            penalty += self.l2 * float(np.dot(flat, flat))
        return penalty

    def add_gradient(self, w: Array, grad: Array) -> None:
        """Add the penalty's gradient to `grad`, in place."""
        for part, into, scratch in _blocks(w, grad):
            if self.l2:
                into += np.multiply(part, 2.0 * self.l2, out=scratch)
            if self.l1:
                np.sign(part, out=scratch)
                scratch *= self.l1
                into += scratch

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"l1": self.l1, "l2": self.l2}


class L1(L1L2):
    """``l1 * sum(|w|)``, which drives weights to exactly 0."""

    def __init__(self, l1: float = 0.01) -> None:
        super().__init__(l1=l1)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"l1": self.l1}


class L2(L1L2):
    """``l2 * sum(w²)``, which keeps weights small."""

    def __init__(self, l2: float = 0.01) -> None:
        super().__init__(l2=l2)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"l2": self.l2}


def _blocks(w: Array, grad: Array) -> Iterator[tuple[Array, Array, Array]]:
    if not grad.flags.c_contiguous:
        raise ValueError(
            "grad must be C-contiguous, got an array that is not; pass np.ascontiguousarray(grad)"
        )
    weights, gradients = w.reshape(-1), grad.reshape(-1)
    scratch = np.empty(min(_BLOCK, weights.size), w.dtype)
    for start in range(0, weights.size, _BLOCK):
        part = weights[start : start + _BLOCK]
        yield part, gradients[start : start + _BLOCK], scratch[: part.size]


_REGULARIZERS: dict[str, type[Regularizer]] = serialization.by_name([L1, L2, L1L2], l1_l2=L1L2)


def get(identifier: object) -> Regularizer | None:
    """Return a regularizer from an instance, name or configuration; None for None.

    Raises
    ------
    ValueError
        If the name is unknown.
    TypeError
        If the identifier has an unsupported type.
    """
    if identifier is None or isinstance(identifier, Regularizer):
        return identifier
    return serialization.deserialize("regularizer", identifier, _REGULARIZERS)
