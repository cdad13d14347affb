"""Dense, and its base class shared with Conv2D."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Unpack

import numpy as np

from onstage.model import Array
from onstage.nn import activations, initializers, regularizers, serialization
from onstage.nn.execution.ops import BindContext, Op
from onstage.nn.layers.base import Layer, LayerOptions, Shape
from onstage.validation import validate_bool, validate_int

_MAX_UNITS_TO_TRANSPOSE = 64
"""Up to so many units, computing the product batch first and transposing it is faster."""


class WeightedLayer(Layer):
    """Base class of Dense and Conv2D: kernel, bias and activation."""

    def __init__(
        self,
        activation: object = None,
        use_bias: bool = True,
        kernel_initializer: object = "glorot_uniform",
        bias_initializer: object = "zeros",
        kernel_regularizer: object = None,
        bias_regularizer: object = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**options)
        self.activation = activations.get(activation)
        self.use_bias = validate_bool("use_bias", use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)

    def add_kernel_and_bias(self, kernel_shape: Sequence[int]) -> None:
        """Create the variables; the bias has the length of the kernel's last axis."""
        self.kernel = self.add_weight(
            kernel_shape, self.kernel_initializer, regularizer=self.kernel_regularizer, name="kernel"
        )
        if self.use_bias:
            self.bias = self.add_weight(
                kernel_shape[-1:], self.bias_initializer, regularizer=self.bias_regularizer, name="bias"
            )

    def join_kernel_and_bias(self) -> tuple[Array, Array]:
        """Return kernel and bias as one matrix, and their gradients as another.

        Shape ``(d_in + 1, units)`` with the bias as the last row; the kernel
        alone if there is no bias. Both are views: the variables of a layer are
        contiguous in the model's buffers.
        """
        if self.use_bias:
            kernel, bias = self.kernel, self.bias
            return _view_as_matrix(kernel.value, bias.value), _view_as_matrix(kernel.gradient, bias.gradient)
        shape = (-1, self.kernel.shape[-1])
        return self.kernel.value.reshape(shape), self.kernel.gradient.reshape(shape)

    def bind_activation(self, out: Array, context: BindContext) -> list[Op]:
        """Make the ops of the activation, in place on the product's buffer."""
        return self.activation.bind(out, replace(context, needs_gradient=True, may_overwrite=True))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "activation": serialization.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": serialization.serialize(self.kernel_initializer),
            "bias_initializer": serialization.serialize(self.bias_initializer),
            "kernel_regularizer": self.kernel_regularizer
            and serialization.serialize(self.kernel_regularizer),
            "bias_regularizer": self.bias_regularizer and serialization.serialize(self.bias_regularizer),
        }


class Dense(WeightedLayer):
    """``activation(x @ kernel + bias)`` along the last axis.

    Parameters
    ----------
    units
        Length of the output's last axis.
    activation
        Name or `activations.Activation`; None for no activation.

    Attributes
    ----------
    kernel, bias : Variable
        Shapes ``(d_in, units)`` and ``(units,)``.

    Examples
    --------
    >>> from onstage import Sequential
    >>> from onstage.layers import Dense, Input
    >>> model = Sequential([Input((64,)), Dense(32, "relu"), Dense(10, "softmax")])
    >>> model.count_params()
    2410
    """

    any_order = True

    def __init__(
        self,
        units: int,
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
        self.units = validate_int("units", units, 1)

    def build(self, input_shape: Shape) -> None:
        """Create kernel and bias."""
        if len(input_shape) < 2:
            raise ValueError(f"must have input of at least 2 axes, (batch, features), got {input_shape}")
        d_in = input_shape[-1]
        assert d_in is not None
        self.add_kernel_and_bias((d_in, self.units))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape with `units` as the last axis."""
        return (*input_shape[:-1], self.units)

    def bind(self, x: Array, context: BindContext) -> list[Op]:
        """Make the ops of the product and of the activation."""
        affine = self._bind_product(x, context)
        return [affine, *self.bind_activation(affine.out, context)]

    def _bind_product(self, x: Array, context: BindContext) -> Op:
        d_in, samples = x.shape[0], math.prod(x.shape[1:])
        is_matrix, kernel = x.ndim == 2, self.kernel.value
        # The extra row of ones serves a next layer that multiplies this by its weights.
        with_ones = np.ones((self.units + 1, *x.shape[1:]), context.dtype)
        out = with_ones[:-1]
        rows = out.reshape(self.units, samples)
        x_gradient = context.empty(x.shape if context.needs_gradient else (d_in, 0))
        x_gradient_rows = x_gradient.reshape(d_in, -1)
        if context.x_with_ones is not None and self.use_bias:
            weights, weight_gradients = self.join_kernel_and_bias()
            fixed = context.x_with_ones.reshape(d_in + 1, samples)
        else:
            weights, weight_gradients = kernel, self.kernel.gradient
            fixed = None
        adds_bias = self.use_bias and fixed is None
        column = self.bias.value[:, None] if adds_bias else None
        ones = np.ones(samples, context.dtype)
        transposed = weights.T
        # A row-major batch is multiplied faster without transposing it, and a
        # narrow product is cheap to transpose.
        transposes = context.first and is_matrix and adds_bias and self.units <= _MAX_UNITS_TO_TRANSPOSE
        product = context.empty((samples, self.units)) if transposes else rows.T

        def forward(x: Array) -> Array:
            if transposes:
                np.dot(x.T, kernel, product)
            else:
                x = fixed if fixed is not None else x if is_matrix else x.reshape(d_in, samples)
                np.dot(transposed, x, rows)
            if column is not None:
                np.add(product.T, column, rows)
            return out

        def backward(x: Array, gradient: Array) -> Array:
            x = fixed if fixed is not None else x if is_matrix else x.reshape(d_in, samples)
            gradient = gradient if is_matrix else gradient.reshape(rows.shape)
            np.dot(x, gradient.T, weight_gradients)
            if adds_bias:
                # A product with ones is faster than np.sum over short rows.
                np.dot(gradient, ones, self.bias.gradient)
            if context.needs_gradient:
                np.dot(kernel, gradient, x_gradient_rows)
            return x_gradient

        return Op(out, forward, backward, reads_out=False, with_ones=with_ones)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"units": self.units, **super().get_config()}


def _view_as_matrix(kernel: Array, bias: Array) -> Array:
    """Return a matrix over two arrays that are adjacent in memory."""
    begin = kernel.__array_interface__["data"][0]
    assert bias.__array_interface__["data"][0] == begin + kernel.nbytes
    whole = kernel.base
    assert whole is not None
    start = (begin - whole.__array_interface__["data"][0]) // kernel.itemsize
    return whole[start : start + kernel.size + bias.size].reshape(-1, bias.size)
