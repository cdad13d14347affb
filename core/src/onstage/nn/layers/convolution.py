"""Convolutions: matrix products with the patches of the input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Unpack

import numpy as np

from onstage.model import Array
from onstage.nn.execution.ops import Backward, BindContext, Op
from onstage.nn.execution.two_threads import share
from onstage.nn.layers.base import LayerOptions, Shape
from onstage.nn.layers.dense import WeightedLayer
from onstage.nn.layers.patches import Band, Patches, split_bands
from onstage.nn.layers.windows import (
    Lengths,
    kernel_offsets,
    output_length,
    validate_input_shape,
    validate_lengths,
)
from onstage.validation import validate_choice, validate_int


class _Convolution(WeightedLayer):
    """Base class: a convolution along `rank` axes."""

    rank: ClassVar[int]
    paddings: ClassVar[tuple[str, ...]] = ("valid", "same")

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        dilation_rate: int | Sequence[int] = 1,
        activation: object = None,
        use_bias: bool = True,
        kernel_initializer: object = "glorot_uniform",
        bias_initializer: object = "zeros",
        kernel_regularizer: object = None,
        bias_regularizer: object = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(
            activation,
            use_bias,
            kernel_initializer,
            bias_initializer,
            kernel_regularizer,
            bias_regularizer,
            **options,
        )
        self.filters = validate_int("filters", filters, 1)
        self.kernel_size = validate_lengths("kernel_size", kernel_size, self.rank)
        self.strides = validate_lengths("strides", strides, self.rank)
        self.padding = validate_choice("padding", padding, self.paddings)
        self.dilation_rate = validate_lengths("dilation_rate", dilation_rate, self.rank)
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                f"strides or dilation_rate must be 1, got strides={self.strides} and "
                f"dilation_rate={self.dilation_rate}"
            )

    def build(self, input_shape: Shape) -> None:
        """Create kernel and bias."""
        channels = validate_input_shape(input_shape, self.rank)[-1]
        self.add_kernel_and_bias((*self.kernel_size, channels, self.filters))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of the filtered values."""
        lengths = self._output_lengths(validate_input_shape(input_shape, self.rank)[:-1])
        if min(lengths) < 1:
            raise ValueError(
                f"must have input at least as large as its kernel of {self.kernel_size}, dilated by "
                f"{self.dilation_rate}, got {input_shape[1:-1]}"
            )
        return (None, *lengths, self.filters)

    def _output_lengths(self, lengths: Lengths) -> Lengths:
        axes = zip(lengths, self.kernel_size, self.strides, self.dilation_rate, strict=True)
        return tuple(output_length(*axis, self.padding) for axis in axes)

    def bind(self, x: Array, context: BindContext) -> list[Op]:
        """Make the ops of the product and of the activation."""
        filtered = self._bind_product(x, context)
        return [filtered, *self.bind_activation(filtered.out, context)]

    def _bind_product(self, x: Array, context: BindContext) -> Op:
        channels, *lengths, batch = x.shape
        out = context.empty((self.filters, *self._output_lengths(tuple(lengths)), batch))
        window = kernel_offsets(
            tuple(lengths), self.kernel_size, self.strides, self.dilation_rate, self.padding
        )
        # Rows so far apart have no part of the input in common.
        apart = -(-(self.kernel_size[0] - 1) * self.dilation_rate[0] // self.strides[0])
        weights, weight_gradients = self.join_kernel_and_bias()
        bands = split_bands(window, out.shape, len(weights) * context.dtype.itemsize, max(apart, 1))
        # The user's batch has another memory order: transposed once, not per offset.
        images = context.empty(x.shape) if context.first else x
        patches = Patches(weights, self.kernel_size, channels, out.shape, context)
        out_rows = out.reshape(self.filters, -1)
        transposed = weights.T

        def filter_band(band: Band, thread: int) -> None:
            np.matmul(transposed, patches.fill(images, band, thread), out=out_rows[:, band.columns])

        def forward(x: Array) -> Array:
            if context.first:
                np.copyto(images, x)
            share(filter_band, bands)
            return out

        x_gradient = context.empty(x.shape) if context.needs_gradient else None
        backward = self._bind_backward(images, patches, bands, weight_gradients, x_gradient)
        return Op(out, forward, backward, reads_out=False)

    def _bind_backward(
        self,
        images: Array,
        patches: Patches,
        bands: Sequence[Band],
        weight_gradients: Array,
        x_gradient: Array | None,
    ) -> Backward:
        kernel = self.kernel.value.reshape(-1, self.filters)
        # A sum of each thread, and the product that is added to it next.
        sums = np.empty((2, 2, *weight_gradients.shape), weight_gradients.dtype) if len(bands) > 1 else None

        def backward(x: Array, gradient: Array) -> Array:
            rows = gradient.reshape(self.filters, -1)

            def differentiate_band(band: Band, thread: int) -> None:
                here, filled = rows[:, band.columns], patches.filled(images, band, thread)
                if sums is None:
                    np.matmul(filled, here.T, out=weight_gradients)
                else:
                    total, own = sums[band.number // 2 % 2]
                    np.matmul(filled, here.T, out=own)
                    np.add(total, own, total)
                if x_gradient is not None:
                    patches.spread(
                        np.matmul(kernel, here, out=patches.scratch(band, thread)), band, x_gradient
                    )

            for buffer in (x_gradient, None if sums is None else sums[:, 0]):
                if buffer is not None:
                    buffer.fill(0)
            # At the same time only bands whose input does not overlap.
            for turn in (0, 1):
                share(differentiate_band, bands[turn::2])
            if sums is not None:
                np.add(sums[0, 0], sums[1, 0], weight_gradients)
            return gradient if x_gradient is None else x_gradient

        return backward

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            "filters": self.filters,
            "kernel_size": list(self.kernel_size),
            "strides": list(self.strides),
            "padding": self.padding,
            "dilation_rate": list(self.dilation_rate),
            **super().get_config(),
        }


class Conv1D(_Convolution):
    """Convolution of sequences; channels are the last axis.

    Parameters
    ----------
    filters
        Number of output channels.
    kernel_size, strides, dilation_rate
        Integers.
    padding
        ``"valid"`` for none; ``"same"`` for zero padding that makes the output,
        with strides of 1, as long as the input; ``"causal"`` for the same
        amount, all of it before the input.
    activation
        Name or `activations.Activation`; None for no activation.

    Attributes
    ----------
    kernel, bias : Variable
        Shapes ``(steps, channels, filters)`` and ``(filters,)``.

    Examples
    --------
    >>> from onstage import Sequential
    >>> from onstage.layers import Conv1D, Input
    >>> Sequential([Input((28, 3)), Conv1D(8, 5, activation="relu")]).output_shape
    (None, 24, 8)
    """

    rank = 1
    paddings = ("valid", "same", "causal")


class Conv2D(_Convolution):
    """Convolution of images; channels are the last axis.

    Parameters
    ----------
    filters
        Number of output channels.
    kernel_size, strides, dilation_rate
        Integer, or pair for rows and columns.
    padding
        ``"valid"`` for none; ``"same"`` for zero padding that makes the output,
        with strides of 1, as large as the input.
    activation
        Name or `activations.Activation`; None for no activation.

    Attributes
    ----------
    kernel, bias : Variable
        Shapes ``(rows, columns, channels, filters)`` and ``(filters,)``.

    Examples
    --------
    >>> from onstage import Sequential
    >>> from onstage.layers import Conv2D, Input
    >>> Sequential([Input((28, 28, 1)), Conv2D(32, 3, activation="relu")]).output_shape
    (None, 26, 26, 32)
    """

    rank = 2
