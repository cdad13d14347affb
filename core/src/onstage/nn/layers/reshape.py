"""Reshape and Flatten: the same values in another shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np

from onstage.model import Array
from onstage.nn.execution.ops import BindContext, Op
from onstage.nn.layers.base import Layer, LayerOptions, Shape, checked_shape


class Reshape(Layer):
    """Gives each sample another shape, in row-major order.

    Parameters
    ----------
    target_shape
        Without the batch axis; one length may be -1 and follows from the others.
    """

    def __init__(self, target_shape: Sequence[int], **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        lengths = tuple(target_shape)
        checked_shape("target_shape, its one -1 apart,", [1 if n == -1 else n for n in lengths])
        if not lengths or lengths.count(-1) > 1:
            raise ValueError(f"target_shape must have at least one axis and at most one -1, got {lengths}")
        self.target_shape = lengths

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Give the target shape, -1 replaced."""
        size = math.prod(n for n in input_shape[1:] if n is not None)
        fixed = math.prod(n for n in self.target_shape if n != -1)
        if size % fixed or (-1 not in self.target_shape and size != fixed):
            raise ValueError(
                f"cannot give {size} values, of shape {input_shape[1:]}, the shape {self.target_shape}"
            )
        return (None, *(size // fixed if n == -1 else n for n in self.target_shape))

    def bind(self, x: Array, context: BindContext) -> list[Op]:
        """Make the step that copies; none where the shape stays."""
        shape = self.compute_output_shape((None, *x.shape[1:-1], x.shape[0]))[1:]
        if (*x.shape[1:-1], x.shape[0]) == shape:
            return []
        # Row-major order has the channels last, before the batch.
        usual = np.empty((*x.shape[1:-1], x.shape[0], x.shape[-1]), context.dtype)
        reshaped = np.moveaxis(usual.reshape(*shape, x.shape[-1]), -2, 0)  # type: ignore[arg-type]
        is_flat = len(shape) == 1
        out = reshaped if is_flat else np.empty(reshaped.shape, context.dtype)
        x_gradient = np.empty(x.shape, context.dtype)

        def forward(x: Array) -> Array:
            np.copyto(usual, np.moveaxis(x, 0, -2))
            if not is_flat:
                np.copyto(out, reshaped)
            return out

        def backward(x: Array, gradient: Array) -> Array:
            if not is_flat:
                np.copyto(reshaped, gradient)
            source = gradient.reshape(usual.shape) if is_flat else usual
            np.copyto(x_gradient, np.moveaxis(source, -2, 0))
            return x_gradient

        return [Op(out, forward, backward, reads_out=False)]

    def get_config(self) -> dict[str, Any]:
        """Give the constructor's arguments."""
        return {"target_shape": list(self.target_shape), **super().get_config()}


class Flatten(Reshape):
    """Gives each sample one axis, in row-major order."""

    def __init__(self, **options: Unpack[LayerOptions]) -> None:
        super().__init__((-1,), **options)

    def get_config(self) -> dict[str, Any]:
        """Give the constructor's arguments."""
        return Layer.get_config(self)
