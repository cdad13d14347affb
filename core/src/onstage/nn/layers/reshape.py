"""Reshape and Flatten: the same values in another shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np

from onstage.model import Array
from onstage.nn.execution.ops import BindContext, Op
from onstage.nn.layers.base import Layer, LayerOptions, Shape, validate_shape


class Reshape(Layer):
    """Reshape each sample, in row-major order.

    Parameters
    ----------
    target_shape
        Shape without the batch axis; one length may be -1 and is inferred.

    Examples
    --------
    >>> from onstage import Sequential
    >>> from onstage.layers import Input, Reshape
    >>> Sequential([Input((6, 2)), Reshape((3, -1))]).output_shape
    (None, 3, 4)
    """

    any_order = True

    def __init__(self, target_shape: Sequence[int], **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        lengths = tuple(target_shape)
        validate_shape("target_shape, except for one -1,", [1 if n == -1 else n for n in lengths])
        if not lengths or lengths.count(-1) > 1:
            raise ValueError(f"target_shape must have at least one axis and at most one -1, got {lengths}")
        self.target_shape = lengths

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the target shape with -1 replaced."""
        size = math.prod(n for n in input_shape[1:] if n is not None)
        fixed = math.prod(n for n in self.target_shape if n != -1)
        if size % fixed or (-1 not in self.target_shape and size != fixed):
            raise ValueError(
                f"must have input that fits the shape {self.target_shape}, got {size} values of shape "
                f"{input_shape[1:]}"
            )
        return (None, *(size // fixed if n == -1 else n for n in self.target_shape))

    def bind(self, x: Array, context: BindContext) -> list[Op]:
        """Make the op that copies; none if the shape is unchanged."""
        shape = self.compute_output_shape((None, *x.shape[1:-1], x.shape[0]))[1:]
        if (*x.shape[1:-1], x.shape[0]) == shape:
            return []
        # `row_major` has the channels after the other axes, before the batch.
        row_major = context.empty((*x.shape[1:-1], x.shape[0], x.shape[-1]))
        reshaped = np.moveaxis(row_major.reshape(*shape, x.shape[-1]), -2, 0)  # type: ignore[arg-type]
        is_flat = len(shape) == 1
        out = reshaped if is_flat else context.empty(reshaped.shape)
        x_gradient = context.workspace.empty_like(x, context.dtype)

        def forward(x: Array) -> Array:
            np.copyto(row_major, np.moveaxis(x, 0, -2))
            if not is_flat:
                np.copyto(out, reshaped)
            return out

        def backward(x: Array, gradient: Array) -> Array:
            if not is_flat:
                np.copyto(reshaped, gradient)
            source = gradient.reshape(row_major.shape) if is_flat else row_major
            np.copyto(x_gradient, np.moveaxis(source, -2, 0))
            return x_gradient

        return [Op(out, forward, backward, reads_out=False)]

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"target_shape": list(self.target_shape), **super().get_config()}


class Flatten(Reshape):
    """Flatten each sample to one axis, in row-major order."""

    def __init__(self, **options: Unpack[LayerOptions]) -> None:
        super().__init__((-1,), **options)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return Layer.get_config(self)
