"""BatchNormalization: normalize each channel over the batch."""

from __future__ import annotations

import math
from typing import Any, Unpack

import numpy as np

from onstage.model import Array
from onstage.nn import initializers, serialization
from onstage.nn.execution.ops import BindContext, Op
from onstage.nn.layers.base import LayerOptions, Shape
from onstage.nn.layers.normalization import Normalization
from onstage.validation import validate_float


class BatchNormalization(Normalization):
    """Normalize each channel over the batch, then scale and shift it.

    In inference, and if `trainable` is False, moving averages of mean and
    variance are used instead of the batch statistics.

    Parameters
    ----------
    axis
        Must be -1, the channels.
    momentum
        Momentum of the moving averages, in [0, 1].
    epsilon
        Added to the variance, > 0.
    center, scale
        Whether to add an offset beta, and to multiply by a factor gamma.

    References
    ----------
    Ioffe, Szegedy: *Batch Normalization* (2015).
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: object = "zeros",
        gamma_initializer: object = "ones",
        moving_mean_initializer: object = "zeros",
        moving_variance_initializer: object = "ones",
        beta_regularizer: object = None,
        gamma_regularizer: object = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(
            axis,
            epsilon,
            center,
            scale,
            beta_initializer,
            gamma_initializer,
            beta_regularizer,
            gamma_regularizer,
            **options,
        )
        self.momentum = validate_float("momentum", momentum, 0, 1)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)

    def build(self, input_shape: Shape) -> None:
        """Create gamma, beta and the moving averages."""
        super().build(input_shape)
        shape = (input_shape[-1],)
        self.moving_mean = self.add_weight(
            shape,  # type: ignore[arg-type]
            self.moving_mean_initializer,
            trainable=False,
            name="moving_mean",
        )
        self.moving_variance = self.add_weight(
            shape,  # type: ignore[arg-type]
            self.moving_variance_initializer,
            trainable=False,
            name="moving_variance",
        )

    def bind(self, x: Array, context: BindContext) -> list[Op]:
        """Make the op."""
        if context.training and self.trainable:
            return [self._bind_batch(x, context)]
        return [self._bind_moving(x, context)]

    def _bind_batch(self, x: Array, context: BindContext) -> Op:
        channels, n = x.shape[0], math.prod(x.shape[1:])
        normal, scratch = (context.empty((channels, n)) for _ in range(2))
        out = context.empty(x.shape)
        out_rows = out.reshape(channels, n)
        mean, variance, deviation = (context.empty((channels, 1)) for _ in range(3))
        x_gradient = scratch.reshape(x.shape)

        def forward(x: Array) -> Array:
            rows = x.reshape(channels, n)
            np.mean(rows, axis=1, keepdims=True, out=mean)
            np.subtract(rows, mean, normal)
            np.multiply(normal, normal, scratch)
            np.mean(scratch, axis=1, keepdims=True, out=variance)
            np.add(variance, self.epsilon, deviation)
            np.sqrt(deviation, deviation)
            np.divide(normal, deviation, normal)
            self.scale_and_shift(normal, out_rows)
            self._update_average(self.moving_mean.value, mean[:, 0])
            self._update_average(self.moving_variance.value, variance[:, 0])
            return out

        def backward(x: Array, gradient: Array) -> Array:
            rows = gradient.reshape(channels, n)
            self.scale_backward(normal, rows, scratch)
            # The components along 1 and along `normal` do not change the output.
            np.multiply(rows, normal, scratch)
            along = np.mean(scratch, axis=1, keepdims=True)
            np.multiply(normal, along, scratch)
            np.subtract(rows, scratch, scratch)
            np.subtract(scratch, np.mean(rows, axis=1, keepdims=True), scratch)
            np.divide(scratch, deviation, scratch)
            return x_gradient

        return Op(out, forward, backward, reads_out=False)

    def _update_average(self, average: Array, latest: Array) -> None:
        average *= self.momentum
        average += latest * (1 - self.momentum)

    def _bind_moving(self, x: Array, context: BindContext) -> Op:
        column = (-1, *[1] * (x.ndim - 1))
        normal, scratch, out = (context.empty(x.shape) for _ in range(3))

        def forward(x: Array) -> Array:
            deviation = np.sqrt(self.moving_variance.value + context.dtype.type(self.epsilon))
            np.subtract(x, self.moving_mean.value.reshape(column), normal)
            np.divide(normal, deviation.reshape(column), normal)
            self.scale_and_shift(normal, out)
            return out

        def backward(x: Array, gradient: Array) -> Array:
            self.scale_backward(normal, gradient, scratch)
            deviation = np.sqrt(self.moving_variance.value + context.dtype.type(self.epsilon))
            np.divide(gradient, deviation.reshape(column), gradient)
            return gradient

        return Op(out, forward, backward, reads_out=False)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            "momentum": self.momentum,
            "moving_mean_initializer": serialization.serialize(self.moving_mean_initializer),
            "moving_variance_initializer": serialization.serialize(self.moving_variance_initializer),
            **super().get_config(),
        }
