"""Pooling: the greatest or the mean value of each window of an image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np

from onstage.model import Array
from onstage.nn.execution.ops import BindContext, Op
from onstage.nn.layers.base import Layer, LayerOptions, Shape
from onstage.nn.layers.windows import KernelOffset, checked_image, checked_pair, kernel_offsets, output_length
from onstage.validation import validate_bool, validate_choice


class _Pooling2D(Layer):
    """The window's settings."""

    def __init__(
        self,
        pool_size: int | Sequence[int] = (2, 2),
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**options)
        self.pool_size = checked_pair("pool_size", pool_size)
        self.strides = self.pool_size if strides is None else checked_pair("strides", strides)
        self.padding = validate_choice("padding", padding, ("valid", "same"))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Give the shape of the pooled images."""
        rows, columns, channels = checked_image(input_shape)
        lengths = tuple(
            output_length(n, size, stride, 1, self.padding)
            for n, size, stride in zip((rows, columns), self.pool_size, self.strides, strict=True)
        )
        if min(lengths) < 1:
            raise ValueError(f"has a window of {self.pool_size}, larger than its images of {(rows, columns)}")
        return (None, *lengths, channels)

    def _buffers(self, x: Array, context: BindContext) -> tuple[Array, Array, list[KernelOffset]]:
        channels, rows, columns, batch = x.shape
        lengths = self.compute_output_shape((None, rows, columns, channels))[1:3]
        out = np.empty((channels, *lengths, batch), context.dtype)
        window = kernel_offsets((rows, columns), self.pool_size, self.strides, (1, 1), self.padding)
        return out, np.empty(x.shape, context.dtype), window

    def get_config(self) -> dict[str, Any]:
        """Give the constructor's arguments."""
        return {
            "pool_size": list(self.pool_size),
            "strides": list(self.strides),
            "padding": self.padding,
            **super().get_config(),
        }


class MaxPooling2D(_Pooling2D):
    """The greatest value of each window; of equal ones the first has the gradient.

    Parameters
    ----------
    pool_size, strides
        An integer, or a pair for rows and columns; strides of None are the
        window's size.
    padding
        ``"valid"`` for none, ``"same"`` for windows that reach over the edge;
        what lies there is not counted.
    """

    def bind(self, x: Array, context: BindContext) -> list[Op]:
        """Make the step."""
        out, x_gradient, window = self._buffers(x, context)
        hits = np.empty(out.shape, np.bool_)
        part = np.empty(out.shape, context.dtype)
        overlap = any(n < size for n, size in zip(self.strides, self.pool_size, strict=True))
        if not overlap:
            x_gradient.fill(0)  # where no window looks it stays so

        def forward(x: Array) -> Array:
            out.fill(-np.inf)
            for tap in window:
                seen = out[tap.target]
                np.maximum(seen, x[tap.source], out=seen)
            return out

        def backward(x: Array, gradient: Array) -> Array:
            if overlap:
                x_gradient.fill(0)
            for tap in window:
                rest, received = gradient[tap.target], x_gradient[tap.source]
                here = part[tap.target] if overlap else received
                np.equal(x[tap.source], out[tap.target], hits[tap.target])
                np.multiply(rest, hits[tap.target], here)
                # What one place has received, none of the next does.
                np.subtract(rest, here, rest)
                if overlap:
                    np.add(received, here, received)
            return x_gradient

        return [Op(out, forward, backward)]


class AveragePooling2D(_Pooling2D):
    """The mean of each window.

    Parameters
    ----------
    pool_size, strides, padding
        As for `MaxPooling2D`.
    """

    def bind(self, x: Array, context: BindContext) -> list[Op]:
        """Make the step."""
        out, x_gradient, window = self._buffers(x, context)
        counts = np.zeros((1, *out.shape[1:3], 1), context.dtype)
        for tap in window:
            counts[tap.target] += 1
        shares = 1 / counts

        def forward(x: Array) -> Array:
            out.fill(0)
            for tap in window:
                seen = out[tap.target]
                np.add(seen, x[tap.source], seen)
            return np.multiply(out, shares, out)

        def backward(x: Array, gradient: Array) -> Array:
            np.multiply(gradient, shares, gradient)
            x_gradient.fill(0)
            for tap in window:
                received = x_gradient[tap.source]
                np.add(received, gradient[tap.target], received)
            return x_gradient

        return [Op(out, forward, backward, reads_out=False)]


class GlobalAveragePooling2D(Layer):
    """The mean of each channel of an image.

    Parameters
    ----------
    keepdims
        Whether rows and columns stay, as axes of length 1.
    """

    def __init__(self, keepdims: bool = False, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        self.keepdims = validate_bool("keepdims", keepdims)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Give the shape of the means."""
        channels = checked_image(input_shape)[-1]
        return (None, 1, 1, channels) if self.keepdims else (None, channels)

    def bind(self, x: Array, context: BindContext) -> list[Op]:
        """Make the step."""
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
        """Give the constructor's arguments."""
        return {"keepdims": self.keepdims, **super().get_config()}
