"""Layers without weights: Input, Activation, Dropout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np

from onstage.model import Array
from onstage.nn import activations, serialization
from onstage.nn.execution.ops import BindContext, Op
from onstage.nn.layers.base import Layer, LayerOptions, Shape, checked_shape
from onstage.validation import validate_float


class Input(Layer):
    """Says the shape of one sample; stands first and is not counted as a layer.

    Parameters
    ----------
    shape
        Without the batch axis.
    """

    def __init__(self, shape: Sequence[int], name: str | None = None) -> None:
        super().__init__(name=name, input_shape=checked_shape("shape", shape))

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample, without the batch axis."""
        assert self.given_input_shape is not None
        return self.given_input_shape

    def get_config(self) -> dict[str, Any]:
        """Give the constructor's arguments."""
        return {"shape": list(self.shape), "name": self.given_name}


class Activation(Layer):
    """Applies an activation.

    Parameters
    ----------
    activation
        A name, or an `activations.Activation`.
    """

    def __init__(self, activation: object, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        self.activation = activations.get(activation)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Give the input's shape."""
        return input_shape

    def bind(self, x: Array, context: BindContext) -> list[Op]:
        """Make the activation's step."""
        return self.activation.bind(x, context)

    def get_config(self) -> dict[str, Any]:
        """Give the constructor's arguments."""
        return {"activation": serialization.serialize(self.activation), **super().get_config()}


class Dropout(Layer):
    """Sets values to 0 at random in training, and scales the others up.

    Parameters
    ----------
    rate
        The fraction that is dropped, in [0, 1). The others are divided by
        1 - rate, so that the mean stays.

    References
    ----------
    Srivastava et al.: *Dropout* (2014).
    """

    def __init__(self, rate: float, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        self.rate = validate_float("rate", rate, 0, 1, exclude={1})

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Give the input's shape."""
        return input_shape

    def bind(self, x: Array, context: BindContext) -> list[Op]:
        """Make the step, in training; none otherwise."""
        if not context.training or self.rate == 0:
            return []
        out = x if context.may_overwrite else np.empty(x.shape, context.dtype)
        factors = np.empty(x.shape, context.dtype)
        kept = np.empty(x.shape, np.bool_)
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
        """Give the constructor's arguments."""
        return {"rate": self.rate, **super().get_config()}
