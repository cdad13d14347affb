"""Pooling: the maximum or the mean of each window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Unpack

import numpy as np

from onstage.model import Array
from onstage.nn.execution.ops import BindContext, Op
from onstage.nn.execution.two_threads import channel_blocks, share
from onstage.nn.layers.base import Layer, LayerOptions, Shape
from onstage.nn.layers.windows import (
    KernelOffset,
    kernel_offsets,
    output_length,
    validate_input_shape,
    validate_lengths,
)
from onstage.validation import validate_choice


class _Pooling(Layer):
    """Base class: the size, strides and padding of a window along `rank` axes."""

    rank: ClassVar[int]

    def __init__(
        self,
        pool_size: int | Sequence[int] = 2,
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**options)
        self.pool_size = validate_lengths("pool_size", pool_size, self.rank)
        self.strides = self.pool_size if strides is None else validate_lengths("strides", strides, self.rank)
        self.padding = validate_choice("padding", padding, ("valid", "same"))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of the pooled values."""
        *given, channels = validate_input_shape(input_shape, self.rank)
        lengths = tuple(
            output_length(n, size, stride, 1, self.padding)
            for n, size, stride in zip(given, self.pool_size, self.strides, strict=True)
        )
        if min(lengths) < 1:
            raise ValueError(
                f"must have input at least as large as its window of {self.pool_size}, got {tuple(given)}"
            )
        return (None, *lengths, channels)

    def _buffers(self, x: Array, context: BindContext) -> tuple[Array, Array, list[KernelOffset]]:
        channels, *given, batch = x.shape
        lengths = self.compute_output_shape((None, *given, channels))[1:-1]
        out = context.empty((channels, *lengths, batch))
        ones = (1,) * self.rank
        window = kernel_offsets(tuple(given), self.pool_size, self.strides, ones, self.padding)
        return out, context.empty(x.shape), window

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            "pool_size": list(self.pool_size),
            "strides": list(self.strides),
            "padding": self.padding,
            **super().get_config(),
        }


class _MaxPooling(_Pooling):
    """Maximum of each window; of equal values, the first receives the gradient."""

    def bind(self, x: Array, context: BindContext) -> list[Op]:
        """Make the op."""
        out, x_gradient, window = self._buffers(x, context)
        hits = context.empty(out.shape, np.bool_)
        part = context.empty(out.shape)
        overlap = any(n < size for n, size in zip(self.strides, self.pool_size, strict=True))
        tiled = zip(x.shape[1:-1], self.pool_size, self.strides, strict=True)
        writes_all = all(size == stride and n % stride == 0 for n, size, stride in tiled)

        blocks = channel_blocks(x)

        def forward(x: Array) -> Array:
            def pool(block: slice, thread: int) -> None:
                values, greatest = x[block], out[block]
                greatest.fill(-np.inf)
                for offset in window:
                    seen = greatest[offset.target]
                    np.maximum(seen, values[offset.source], out=seen)

            share(pool, blocks)
            return out

        def backward(x: Array, gradient: Array) -> Array:
            def spread(block: slice, thread: int) -> None:
                values, greatest, hit, own = x[block], out[block], hits[block], part[block]
                rests, below = gradient[block], x_gradient[block]
                if not writes_all:
                    below.fill(0)
                for offset in window:
                    rest, received = rests[offset.target], below[offset.source]
                    here = own[offset.target] if overlap else received
                    np.equal(values[offset.source], greatest[offset.target], hit[offset.target])
                    np.multiply(rest, hit[offset.target], here)
                    # Gradient received at one offset is not passed to the next ones.
                    np.subtract(rest, here, rest)
                    if overlap:
                        np.add(received, here, received)

            share(spread, blocks)
            return x_gradient

        return [Op(out, forward, backward)]


class _AveragePooling(_Pooling):
    """Mean of each window."""

    def bind(self, x: Array, context: BindContext) -> list[Op]:
        """Make the op."""
        out, x_gradient, window = self._buffers(x, context)
        counts = np.zeros((1, *out.shape[1:-1], 1), context.dtype)
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


class MaxPooling1D(_MaxPooling):
    """Maximum of each window of a sequence.

    Of equal values, the first receives the gradient.

    Parameters
    ----------
    pool_size, strides
        Integers. Strides of None are equal to `pool_size`.
    padding
        ``"valid"`` for none; ``"same"`` for windows that extend over the ends,
        where the padding is ignored.

    Examples
    --------
    >>> from onstage import Sequential
    >>> from onstage.layers import Input, MaxPooling1D
    >>> Sequential([Input((28, 3)), MaxPooling1D(2)]).output_shape
    (None, 14, 3)
    """

    rank = 1


class MaxPooling2D(_MaxPooling):
    """Maximum of each window of an image.

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

    rank = 2


class AveragePooling1D(_AveragePooling):
    """Mean of each window of a sequence.

    Parameters
    ----------
    pool_size, strides, padding
        As in `MaxPooling1D`.
    """

    rank = 1


class AveragePooling2D(_AveragePooling):
    """Mean of each window of an image.

    Parameters
    ----------
    pool_size, strides, padding
        As in `MaxPooling2D`.
    """

    rank = 2
