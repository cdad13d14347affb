"""Global pooling: the maximum or the mean of each channel of a sequence or an image."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Unpack

import numpy as np

from onstage.model import Array
from onstage.nn.execution.ops import BindContext, Op
from onstage.nn.layers.base import Layer, LayerOptions, Shape
from onstage.nn.layers.windows import validate_input_shape
from onstage.validation import validate_bool


class _GlobalPooling(Layer):
    """Base class: the shape of the pooled channels; the input has `rank` axes of positions."""

    rank: ClassVar[int]
    any_order = True

    def __init__(self, keepdims: bool = False, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        self.keepdims = validate_bool("keepdims", keepdims)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of the pooled channels."""
        channels = validate_input_shape(input_shape, self.rank)[-1]
        return (None, *self._kept_axes(), channels)

    def _kept_axes(self) -> tuple[int, ...]:
        return (1,) * self.rank if self.keepdims else ()

    def _output(self, x: Array, context: BindContext) -> Array:
        return context.empty((x.shape[0], *self._kept_axes(), x.shape[-1]))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"keepdims": self.keepdims, **super().get_config()}


class _GlobalMaxPooling(_GlobalPooling):
    """Maximum of each channel; of equal values, the first receives the gradient."""

    def bind(self, x: Array, context: BindContext) -> list[Op]:
        """Make the op."""
        out = self._output(x, context)
        positions = (x.shape[0], -1, x.shape[-1])
        greatest = out.reshape(x.shape[0], 1, x.shape[-1])
        x_gradient = context.workspace.empty_like(x, context.dtype)

        def forward(x: Array) -> Array:
            np.maximum.reduce(x.reshape(positions), axis=1, out=greatest, keepdims=True)
            return out

        def backward(x: Array, gradient: Array) -> Array:
            first = x.reshape(positions).argmax(axis=1, keepdims=True)
            x_gradient.fill(0)
            np.put_along_axis(x_gradient.reshape(positions), first, gradient.reshape(greatest.shape), 1)
            return x_gradient

        return [Op(out, forward, backward, reads_out=False)]


class _GlobalAveragePooling(_GlobalPooling):
    """Mean of each channel."""

    def bind(self, x: Array, context: BindContext) -> list[Op]:
        """Make the op."""
        out = self._output(x, context)
        axes = tuple(range(1, x.ndim - 1))
        means = out.reshape(x.shape[0], *[1] * len(axes), x.shape[-1])
        # In the memory order of x, along which numpy is several times faster.
        sums = np.empty_like(x, context.dtype, shape=means.shape)
        x_gradient = context.workspace.empty_like(x, context.dtype)
        share = context.dtype.type(1 / math.prod(x.shape[1:-1]))

        def forward(x: Array) -> Array:
            np.add.reduce(x, axis=axes, out=sums, keepdims=True)
            np.multiply(sums, share, means)
            return out

        def backward(x: Array, gradient: Array) -> Array:
            np.multiply(gradient.reshape(means.shape), share, sums)
            np.copyto(x_gradient, sums)
            return x_gradient

        return [Op(out, forward, backward, reads_out=False)]


class GlobalMaxPooling1D(_GlobalMaxPooling):
    """Maximum of each channel of a sequence.

    Of equal values, the first receives the gradient.

    Parameters
    ----------
    keepdims
        Whether to keep the steps as an axis of length 1.
    """

    rank = 1


class GlobalMaxPooling2D(_GlobalMaxPooling):
    """Maximum of each channel of an image.

    Of equal values, the first receives the gradient.

    Parameters
    ----------
    keepdims
        Whether to keep rows and columns as axes of length 1.
    """

    rank = 2


class GlobalAveragePooling1D(_GlobalAveragePooling):
    """Mean of each channel of a sequence.

    Parameters
    ----------
    keepdims
        Whether to keep the steps as an axis of length 1.
    """

    rank = 1


class GlobalAveragePooling2D(_GlobalAveragePooling):
    """Mean of each channel of an image.

    Parameters
    ----------
    keepdims
        Whether to keep rows and columns as axes of length 1.
    """

    rank = 2
