"""Shapes of targets relative to outputs, shared by losses and metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np

from onstage.model import Array

TargetKind: TypeAlias = Literal["binary", "sparse", "categorical"]
"""A classifier's targets: one output value, class numbers, or one-hot rows."""


def target_kind(target_shape: Sequence[int | None], output_shape: Sequence[int | None]) -> TargetKind:
    """Return the kind of targets that ``"accuracy"`` stands for, as in Keras.

    Parameters
    ----------
    target_shape, output_shape
        Batch axis first; its length is ignored.

    Returns
    -------
    TargetKind
        Binary if outputs have one value. Sparse if targets have one axis
        fewer than outputs, or a last axis of 1. Categorical otherwise.
    """
    if len(output_shape) < 2 or output_shape[-1] == 1:
        return "binary"
    if len(target_shape) < len(output_shape) or target_shape[-1] == 1:
        return "sparse"
    return "categorical"


def match_ranks(a: Array, b: Array) -> tuple[Array, Array]:
    """Return both arrays with the same rank, if one has an extra last axis of 1.

    The axis is added to the other array if that is a vector, otherwise removed.
    """
    if a.ndim == b.ndim + 1 and a.shape[-1] == 1:
        return (a, b[:, np.newaxis]) if b.ndim == 1 else (a[..., 0], b)
    if b.ndim == a.ndim + 1 and b.shape[-1] == 1:
        return (a[:, np.newaxis], b) if a.ndim == 1 else (a, b[..., 0])
    return a, b


def match_shapes(name: str, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
    """Return targets and outputs in the same shape.

    Parameters
    ----------
    name
        Name of the metric, for the error message.

    Raises
    ------
    ValueError
        If the shapes differ by more than a last axis of 1. They are never
        broadcast: a row and a column vector would make a matrix.
    """
    y_true, y_pred = match_ranks(np.asarray(y_true), np.asarray(y_pred))
    if y_true.shape != y_pred.shape:
        raise ValueError(
            f"{name} must be given targets of the outputs' shape, {y_pred.shape}, got {y_true.shape}"
        )
    return y_true, y_pred


def broadcast_weights(weight: Array, shape: tuple[int, ...]) -> Array:
    """Broadcast sample weights to the shape of the values, from the left.

    Parameters
    ----------
    weight
        Shape ``(n,)``, ``(n, 1)``, or any leading axes of `shape`.
    shape
        Shape of the values, ``(n, ...)``.
    """
    if weight.ndim > len(shape) and weight.shape[-1] == 1:
        weight = weight[..., 0]
    return np.broadcast_to(weight.reshape(weight.shape + (1,) * (len(shape) - weight.ndim)), shape)
