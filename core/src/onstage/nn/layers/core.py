"""Layers without weights: Input, Activation, Dropout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np

from onstage.checks import number
from onstage.model import Array
from onstage.nn import activations, registry
from onstage.nn.layers.base import Layer, LayerOptions, Shape, checked_shape
from onstage.nn.steps import Place, Step


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

    def bind(self, x: Array, place: Place) -> list[Step]:
        """Make the activation's step."""
        return self.activation.bind(x, place)

    def get_config(self) -> dict[str, Any]:
        """Give the constructor's arguments."""
        return {"activation": registry.serialize(self.activation), **super().get_config()}


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
        self.rate = number("rate", rate, 0, 1, exclude={1})

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Give the input's shape."""
        return input_shape

    def bind(self, x: Array, place: Place) -> list[Step]:
        """Make the step, in training; none otherwise."""
        if not place.training or self.rate == 0:
            return []
        out = x if place.may_overwrite else np.empty(x.shape, place.dtype)
        factors = np.empty(x.shape, place.dtype)
        kept = np.empty(x.shape, np.bool_)
        scale = place.dtype.type(1 / (1 - self.rate))
        rng, dtype = place.rng, place.dtype.type

        def forward(x: Array) -> Array:
            rng.random(dtype=dtype, out=factors)
            np.greater_equal(factors, self.rate, kept)
            np.multiply(kept, scale, factors)
            return np.multiply(x, factors, out)

        def backward(x: Array, gradient: Array) -> Array:
            return np.multiply(gradient, factors, gradient)

        return [Step(out, forward, backward, reads_out=False)]

    def get_config(self) -> dict[str, Any]:
        """Give the constructor's arguments."""
        return {"rate": self.rate, **super().get_config()}
