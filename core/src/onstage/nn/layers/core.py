"""Layers without weights: Input, Activation, Dropout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np
from numpy.typing import DTypeLike

from onstage.model import Array
from onstage.nn import activations, serialization
from onstage.nn.execution.ops import BindContext, Op
from onstage.nn.layers.base import Layer, LayerOptions, Shape, validate_shape
from onstage.validation import validate_float, validate_optional_int


class Input(Layer):
    """Shape of one sample; comes first and is not counted as a layer.

    Parameters
    ----------
    shape
        Shape without the batch axis.
    batch_size, dtype
        Have no effect: a batch may have any size, and is converted to the
        type that the first layer takes.
    """

    def __init__(
        self,
        shape: Sequence[int],
        batch_size: int | None = None,
        dtype: DTypeLike | None = None,
        name: str | None = None,
    ) -> None:
        validate_optional_int("batch_size", batch_size, 1)
        np.dtype(dtype)  # raises TypeError for what is no type
        super().__init__(name=name, input_shape=validate_shape("shape", shape))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample, without the batch axis."""
        assert self.given_input_shape is not None
        return self.given_input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"shape": list(self.shape), "name": self.given_name}


class Activation(Layer):
    """Apply an activation.

    Parameters
    ----------
    activation
        Name or `activations.Activation`.
    """

    def __init__(self, activation: object, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        self.activation = activations.get(activation)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape."""
        return input_shape

    def bind(self, x: Array, context: BindContext) -> list[Op]:
        """Make the activation's op."""
        return self.activation.bind(x, context)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"activation": serialization.serialize(self.activation), **super().get_config()}


class Dropout(Layer):
    """Set random values to 0 during training, and scale the others up.

    Parameters
    ----------
    rate
        Fraction of values to drop, in [0, 1). The others are divided by
        1 - rate, so the mean is unchanged.

    References
    ----------
    Srivastava et al.: *Dropout* (2014).
    """

    def __init__(self, rate: float, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        self.rate = validate_float("rate", rate, 0, 1, exclude={1})

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape."""
        return input_shape

    def bind(self, x: Array, context: BindContext) -> list[Op]:
        """Make the op, in training; none otherwise."""
        if not context.training or self.rate == 0:
            return []
        out = x if context.may_overwrite else context.empty(x.shape)
        factors = context.empty(x.shape)
        kept = context.empty(x.shape, np.bool_)
        scale = context.dtype.type(1 / (1 - self.rate))
        rng, dtype = context.rng, context.dtype.type

        def forward(x: Array) -> Array:
            rng.random(dtype=dtype, out=factors)
            np.greater_equal(factors, self.rate, kept)
            np.multiply(kept, scale, factors)
            return np.multiply(x, factors, out)

        def backward(x: Array, gradient: Array) -> Array:
            return np.multiply(gradient, factors, gradient)

        return [Op(out, forward, backward, reads_out=False)]

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"rate": self.rate, **super().get_config()}
