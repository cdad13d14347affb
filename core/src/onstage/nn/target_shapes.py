"""How targets are laid out against outputs: what losses and metrics both ask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np

from onstage.model import Array

TargetKind: TypeAlias = Literal["binary", "sparse", "categorical"]
"""Of a classifier's targets: one output; class numbers; one-hot rows."""


def target_kind(target_shape: Sequence[int | None], output_shape: Sequence[int | None]) -> TargetKind:
    """Tell what ``"accuracy"`` and ``"crossentropy"`` mean, as Keras does.

    Parameters
    ----------
    target_shape, output_shape
        With the batch axis first; its length is not looked at.

    Returns
    -------
    TargetKind
        Binary for outputs of one value. Sparse where the targets have an axis
        less than the outputs, or one value for several. Categorical else.
    """
    if len(output_shape) < 2 or output_shape[-1] == 1:
        return "binary"
    if len(target_shape) < len(output_shape) or target_shape[-1] == 1:
        return "sparse"
    return "categorical"


def same_rank(a: Array, b: Array) -> tuple[Array, Array]:
    """Give two arrays the same number of axes, where one has a last axis of 1 more.

    That axis is added to the other if it is a vector, else it is taken away.
    """
    if a.ndim == b.ndim + 1 and a.shape[-1] == 1:
        return (a, b[:, np.newaxis]) if b.ndim == 1 else (a[..., 0], b)
    if b.ndim == a.ndim + 1 and b.shape[-1] == 1:
        return (a[:, np.newaxis], b) if a.ndim == 1 else (a, b[..., 0])
    return a, b


def pair(what: str, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
    """Give targets and outputs in one shape; `what` is who asks.

    Raises
    ------
    ValueError
        The shapes differ by more than a last axis of 1. They are never
        broadcast: a pair of vectors of the wrong kind would give a matrix.
    """
    y_true, y_pred = same_rank(np.asarray(y_true), np.asarray(y_pred))
    if y_true.shape != y_pred.shape:
        raise ValueError(
            f"{what} must be given targets in the shape of the outputs, {y_pred.shape}, got {y_true.shape}"
        )
    return y_true, y_pred


def spread(weight: Array, shape: tuple[int, ...]) -> Array:
    """Give each sample's weight to all of its values: broadcast from the left.

    Parameters
    ----------
    weight
        Shape ``(n,)``, ``(n, 1)``, or more of the axes of `shape`.
    shape
        That of the values, ``(n, ...)``.
    """
    if weight.ndim > len(shape) and weight.shape[-1] == 1:
        weight = weight[..., 0]
    return np.broadcast_to(weight.reshape(weight.shape + (1,) * (len(shape) - weight.ndim)), shape)
