"""Pooling: the maximum or the mean of each window of an image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np

from onstage.model import Array
from onstage.nn.execution.ops import BindContext, Op
from onstage.nn.layers.base import Layer, LayerOptions, Shape
from onstage.nn.layers.windows import (
    KernelOffset,
    kernel_offsets,
    output_length,
    validate_image_shape,
    validate_pair,
)
from onstage.validation import validate_bool, validate_choice


class _Pooling2D(Layer):
    """Base class: the window's size, strides and padding."""

    def __init__(
        self,
        pool_size: int | Sequence[int] = (2, 2),
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**options)
        self.pool_size = validate_pair("pool_size", pool_size)
        self.strides = self.pool_size if strides is None else validate_pair("strides", strides)
        self.padding = validate_choice("padding", padding, ("valid", "same"))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of the pooled images."""
        rows, columns, channels = validate_image_shape(input_shape)
        lengths = tuple(
            output_length(n, size, stride, 1, self.padding)
            for n, size, stride in zip((rows, columns), self.pool_size, self.strides, strict=True)
        )
        if min(lengths) < 1:
            raise ValueError(
                f"must have images at least as large as its window of {self.pool_size}, got {(rows, columns)}"
            )
        return (None, *lengths, channels)

    def _buffers(self, x: Array, context: BindContext) -> tuple[Array, Array, list[KernelOffset]]:
        channels, rows, columns, batch = x.shape
        lengths = self.compute_output_shape((None, rows, columns, channels))[1:3]
        out = np.empty((channels, *lengths, batch), context.dtype)
        window = kernel_offsets((rows, columns), self.pool_size, self.strides, (1, 1), self.padding)
        return out, np.empty(x.shape, context.dtype), window

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            "pool_size": list(self.pool_size),
            "strides": list(self.strides),
            "padding": self.padding,
            **super().get_config(),
        }


class MaxPooling2D(_Pooling2D):
    """Maximum of each window.

    Of equal values, the first receives the gradient.

    Parameters
    ----------
    pool_size, strides
        Integer, or pair for rows and columns. Strides of None are equal to
        `pool_size`.
    padding
        ``"valid"`` for none; ``"same"`` for windows that extend over the edge,
        where the padding is ignored.

    Examples
    --------
    >>> from onstage import Sequential
    >>> from onstage.layers import Input, MaxPooling2D
    >>> Sequential([Input((28, 28, 3)), MaxPooling2D(2)]).output_shape
    (None, 14, 14, 3)
    """

    def bind(self, x: Array, context: BindContext) -> list[Op]:
        """Make the op."""
        out, x_gradient, window = self._buffers(x, context)
        hits = np.empty(out.shape, np.bool_)
        part = np.empty(out.shape, context.dtype)
        overlap = any(n < size for n, size in zip(self.strides, self.pool_size, strict=True))
        if not overlap:
            x_gradient.fill(0)  # stays 0 where no window reaches

        def forward(x: Array) -> Array:
            out.fill(-np.inf)
            for offset in window:
                seen = out[offset.target]
                np.maximum(seen, x[offset.source], out=seen)
            return out

        def backward(x: Array, gradient: Array) -> Array:
            if overlap:
                x_gradient.fill(0)
            for offset in window:
                rest, received = gradient[offset.target], x_gradient[offset.source]
                here = part[offset.target] if overlap else received
                np.equal(x[offset.source], out[offset.target], hits[offset.target])
                np.multiply(rest, hits[offset.target], here)
                # Gradient received at one offset is not passed to the next ones.
                np.subtract(rest, here, rest)
                if overlap:
                    np.add(received, here, received)
            return x_gradient

        return [Op(out, forward, backward)]


class AveragePooling2D(_Pooling2D):
    """Mean of each window.

    Parameters
    ----------
    pool_size, strides, padding
        As in `MaxPooling2D`.
    """

    def bind(self, x: Array, context: BindContext) -> list[Op]:
        """Make the op."""
        out, x_gradient, window = self._buffers(x, context)
        counts = np.zeros((1, *out.shape[1:3], 1), context.dtype)
        for offset in window:
            counts[offset.target] += 1
        shares = 1 / counts

        def forward(x: Array) -> Array:
            out.fill(0)
            for offset in window:
                seen = out[offset.target]
                np.add(seen, x[offset.source], seen)
            return np.multiply(out, shares, out)

        def backward(x: Array, gradient: Array) -> Array:
            np.multiply(gradient, shares, gradient)
            x_gradient.fill(0)
            for offset in window:
                received = x_gradient[offset.source]
                np.add(received, gradient[offset.target], received)
            return x_gradient

        return [Op(out, forward, backward, reads_out=False)]


class GlobalAveragePooling2D(Layer):
    """Mean of each channel of an image.

    Parameters
    ----------
    keepdims
        Whether to keep rows and columns as axes of length 1.
    """

    def __init__(self, keepdims: bool = False, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        self.keepdims = validate_bool("keepdims", keepdims)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of the means."""
        channels = validate_image_shape(input_shape)[-1]
        return (None, 1, 1, channels) if self.keepdims else (None, channels)

    def bind(self, x: Array, context: BindContext) -> list[Op]:
        """Make the op."""
        channels, rows, columns, batch = x.shape
        middle = (1, 1) if self.keepdims else ()
        out = np.empty((channels, *middle, batch), context.dtype)
        means = out.reshape(channels, 1, 1, batch)
        x_gradient = np.empty(x.shape, context.dtype)
        share = context.dtype.type(1 / math.prod((rows, columns)))

        def forward(x: Array) -> Array:
            np.add.reduce(x, axis=(1, 2), out=means, keepdims=True)
            np.multiply(out, share, out)
            return out

        def backward(x: Array, gradient: Array) -> Array:
            np.multiply(gradient.reshape(means.shape), share, x_gradient)
            return x_gradient

        return [Op(out, forward, backward, reads_out=False)]

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"keepdims": self.keepdims, **super().get_config()}
