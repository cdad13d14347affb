"""LayerNormalization, and its base class shared with BatchNormalization."""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np

from onstage.model import Array
from onstage.nn import initializers, regularizers, serialization
from onstage.nn.execution.ops import BindContext, Op
from onstage.nn.layers.base import Layer, LayerOptions, Shape
from onstage.validation import validate_bool, validate_float


class Normalization(Layer):
    """Base class: settings, scale and offset."""

    def __init__(
        self,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: object = "zeros",
        gamma_initializer: object = "ones",
        beta_regularizer: object = None,
        gamma_regularizer: object = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**options)
        if axis != -1:
            raise ValueError(f"axis must be -1, the channels, got {axis!r}")
        self.axis = axis
        self.epsilon = validate_float("epsilon", epsilon, 0, exclude={0})
        self.center = validate_bool("center", center)
        self.scale = validate_bool("scale", scale)
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)

    def build(self, input_shape: Shape) -> None:
        """Create gamma and beta."""
        channels = input_shape[-1]
        assert channels is not None
        if self.scale:
            self.gamma = self.add_weight(
                (channels,), self.gamma_initializer, regularizer=self.gamma_regularizer, name="gamma"
            )
        if self.center:
            self.beta = self.add_weight(
                (channels,), self.beta_initializer, regularizer=self.beta_regularizer, name="beta"
            )

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape."""
        return input_shape

    def scale_and_shift(self, normal: Array, out: Array) -> None:
        """Write ``gamma * normal + beta``; the channels are axis 0."""
        column = (-1, *[1] * (normal.ndim - 1))
        if self.scale:
            np.multiply(normal, self.gamma.value.reshape(column), out)
        else:
            np.copyto(out, normal)
        if self.center:
            np.add(out, self.beta.value.reshape(column), out)

    def scale_backward(self, normal: Array, gradient: Array, scratch: Array) -> None:
        """Write the gradients of gamma and beta; replace `gradient` by that of `normal`."""
        others = tuple(range(1, normal.ndim))
        if self.center:
            np.add.reduce(gradient, axis=others, out=self.beta.gradient)
        if self.scale:
            np.multiply(gradient, normal, scratch)
            np.add.reduce(scratch, axis=others, out=self.gamma.gradient)
            np.multiply(gradient, self.gamma.value.reshape(-1, *[1] * len(others)), gradient)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            "axis": self.axis,
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            "beta_initializer": serialization.serialize(self.beta_initializer),
            "gamma_initializer": serialization.serialize(self.gamma_initializer),
            "beta_regularizer": self.beta_regularizer and serialization.serialize(self.beta_regularizer),
            "gamma_regularizer": self.gamma_regularizer and serialization.serialize(self.gamma_regularizer),
            **super().get_config(),
        }


class LayerNormalization(Normalization):
    """Normalize each sample over its channels, then scale and shift it.

    Parameters
    ----------
    axis
        Must be -1, the channels.
    epsilon
        Added to the variance, > 0.
    center, scale
        Whether to add an offset beta, and to multiply by a factor gamma.

    References
    ----------
    Ba, Kiros, Hinton: *Layer Normalization* (2016).
    """

    def bind(self, x: Array, context: BindContext) -> list[Op]:
        """Make the op."""
        normal, scratch, out = (context.empty(x.shape) for _ in range(3))
        mean, deviation = (context.empty(x.shape[1:]) for _ in range(2))

        def forward(x: Array) -> Array:
            np.mean(x, axis=0, out=mean)
            np.subtract(x, mean, normal)
            np.multiply(normal, normal, scratch)
            np.mean(scratch, axis=0, out=deviation)
            np.add(deviation, self.epsilon, deviation)
            np.sqrt(deviation, deviation)
            np.divide(normal, deviation, normal)
            self.scale_and_shift(normal, out)
            return out

        def backward(x: Array, gradient: Array) -> Array:
            self.scale_backward(normal, gradient, scratch)
            # The components along 1 and along `normal` do not change the output.
            np.multiply(gradient, normal, scratch)
            np.multiply(normal, np.mean(scratch, axis=0), scratch)
            np.subtract(gradient, scratch, scratch)
            np.subtract(scratch, np.mean(gradient, axis=0), scratch)
            return np.divide(scratch, deviation, scratch)

        return [Op(out, forward, backward, reads_out=False)]
