"""Activation: a function of one array and its derivative."""

from __future__ import annotations

from typing import Any

import numpy as np

from onstage.model import Array
from onstage.nn.execution.ops import BindContext, Op, to_channels_first


class Activation:
    """A function of one array.

    To write one, subclass it and define `value` and `slope`.
    """

    in_place = True
    """Whether `slope` does not read x, so that `value` may overwrite it."""

    def value(self, x: Array, out: Array) -> None:
        """Write the activation of x; `out` may be x if `in_place`."""
        raise NotImplementedError(f"{type(self).__name__} must define value(self, x, out)")

    def slope(self, x: Array, out: Array, slope: Array) -> None:
        """Write the derivative at x; `out` is the activation of x.

        If `in_place`, x may have been overwritten.
        """
        raise NotImplementedError(f"{type(self).__name__} must define slope(self, x, out, slope)")

    def bind(self, x: Array, context: BindContext) -> list[Op]:
        """Make the op that applies the activation to x; see `execution.ops`."""
        out = x if context.may_overwrite and self.in_place else context.empty(x.shape)
        slope = context.empty(x.shape) if context.training else out

        def forward(x: Array) -> Array:
            self.value(x, out)
            return out

        def backward(x: Array, gradient: Array) -> Array:
            self.slope(x, out, slope)
            return np.multiply(gradient, slope, slope)

        return [Op(out, forward, backward)]

    def __call__(self, x: Any) -> Array:
        """Return the activation of an array whose last axis is the channels."""
        values = np.asarray(x)
        if values.dtype.kind != "f":
            values = values.astype(np.float32)
        values = np.atleast_1d(values)
        context = BindContext(values.dtype, np.random.default_rng(0), False, False, False)
        (op,) = self.bind(to_channels_first(values), context)
        out = to_channels_first(op.forward(to_channels_first(values)))
        return np.ascontiguousarray(out).reshape(np.shape(x))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {}
