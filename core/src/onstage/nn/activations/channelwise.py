"""Softmax: the activation that depends on all channels."""

from __future__ import annotations

import numpy as np

from onstage.model import Array
from onstage.nn.activations.base import Activation
from onstage.nn.execution.ops import BindContext, LogSoftmax, Op


class Softmax(Activation):
    """exp(x) / sum(exp(x)) over the channels; keeps the logits for a cross-entropy."""

    def bind(self, x: Array, context: BindContext) -> list[Op]:
        """Make the op that applies the activation to x."""
        guarded = np.full(x.size + 2, np.nan, context.dtype)
        shifted = guarded[1:-1].reshape(x.shape)
        padded = np.empty(x.size + 2, context.dtype)
        out = padded[1:-1].reshape(x.shape)
        total = np.empty(x.shape[1:], context.dtype)
        # A product with ones is faster than np.sum over a few short rows.
        flat, ones = x.ndim == 2, np.ones(x.shape[0], context.dtype)

        def forward(x: Array) -> Array:
            # max subtracted: exp cannot overflow
            np.maximum.reduce(x, axis=0, out=total)
            np.subtract(x, total, shifted)
            np.exp(shifted, out)
            if flat:
                np.dot(ones, out, total)
            else:
                np.add.reduce(out, axis=0, out=total)
            np.divide(out, total, out)
            return out

        def backward(x: Array, gradient: Array) -> Array:
            # The logits are not needed any more; their buffer is reused for the gradient.
            np.multiply(gradient, out, shifted)
            shifted_sum = np.add.reduce(shifted, axis=0)
            np.multiply(out, shifted_sum, gradient)
            return np.subtract(shifted, gradient, shifted)

        return [Op(out, forward, backward, logits=LogSoftmax(shifted, total, guarded, padded))]
